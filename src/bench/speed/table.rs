//! Table of the measured speed.

use super::{Measured, Rate};
use std::fmt;

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { threads, load_s, ceiling, kernels, .. } = self;
        writeln!(f, "{threads} threads; kernels {kernels}; loaded in {load_s:.2} s")?;
        writeln!(f)?;
        let decode_most = ceiling.bytes_per_s / self.bytes_per_token.max(1) as f64;
        let prefill_most = ceiling.multiply_adds_per_s / self.multiply_adds_per_token.max(1) as f64;
        writeln!(
            f,
            "{:<22}{:>12}{:>22}{:>8}{:>22}",
            "", "tokens/s", "llama.cpp alone", "ratio", "of what is possible"
        )?;
        for (kind, rates, most) in
            [("prefill of", &self.prefill, prefill_most), ("decode behind", &self.decode, decode_most)]
        {
            for Rate { tokens, tokens_per_s, bare_tokens_per_s } in rates {
                let (ratio, share) = (tokens_per_s / bare_tokens_per_s, 100.0 * tokens_per_s / most);
                let name = format!("{kind} {tokens}");
                writeln!(
                    f,
                    "{name:<22}{tokens_per_s:>12.1}{bare_tokens_per_s:>22.1}{ratio:>8.3}{share:>20.0} %"
                )?;
            }
        }
        write!(
            f,
            "possible: {:.1} GB/s of memory for decode, {:.1} billion 8-bit products a second for prefill",
            ceiling.bytes_per_s / 1e9,
            ceiling.multiply_adds_per_s / 1e9
        )?;
        self.fmt_call(f)?;
        if let Some(peak) = self.peak_resident_bytes {
            write!(
                f,
                "\nat most {:.0} MiB in memory, the mapped file included",
                peak as f64 / f64::from(1 << 20)
            )?;
        }
        if let Some(heat) = self.heat.words() {
            write!(f, "\n{heat}")?;
        }
        for start in &self.starts {
            write!(f, "\n{start}")?;
        }
        if !self.unused_features.is_empty() {
            write!(f, "\nthis CPU has {}, which these kernels do not use", self.unused_features.join(", "),)?;
        }
        Ok(())
    }
}

impl Measured {
    fn fmt_call(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(call) = &self.call else { return Ok(()) };
        write!(f, "\n\n")?;
        let costs: Vec<String> = self.rows.iter().map(|cost| format!("{cost:.2}")).collect();
        writeln!(f, "decodes of 1 to {} tokens cost {}", costs.len(), costs.join(", "))?;
        writeln!(f, "masks take {:.2} ms (p50), {:.2} ms (p99)", call.mask_ms_p50, call.mask_ms_p99)?;
        writeln!(f, "tokens of a call are decoded at {:.1} % of the speed of any", 100.0 * call.constrained)?;
        writeln!(
            f,
            "a call of {} tokens behind {}{}: {:.3} s",
            call.generated_tokens,
            call.prompt_tokens,
            if call.has_tools_of_profile { " with the tools of the profile" } else { "" },
            call.call_s
        )?;
        write!(
            f,
            "  first token after {:.3} s, {:.3} s where all but the last message is in memory",
            call.first_token_cold_s, call.first_token_warm_s
        )?;
        match call.first_token_saved_s {
            Some(saved) => writeln!(f, ", {saved:.3} s where it is on disk")?,
            None => writeln!(f)?,
        }
        write!(
            f,
            "  {:.3} decodes for each token; {:.0} % forced, {:.0} % of the guesses right",
            call.decodes_per_token,
            100.0 * call.forced,
            100.0 * call.accepted
        )
    }
}
