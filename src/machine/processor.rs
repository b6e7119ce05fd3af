//! Name of the processor, from the kernel.

use super::{field, text};
use serde::Serialize;
use std::path::Path;

/// Name of the processor and of its board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Processor {
    /// Name such as `Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz` or `Cortex-A76`; `None` if unknown.
    pub name: Option<String>,
    /// Board such as `Raspberry Pi 5 Model B Rev 1.0`; `None` without a device tree.
    pub board: Option<String>,
}

/// Cores by implementer and part number, from the vendors' manuals of the register `MIDR_EL1`.
const PARTS: &[(u32, u32, &str)] = &[
    (0x41, 0xd03, "Cortex-A53"),
    (0x41, 0xd04, "Cortex-A35"),
    (0x41, 0xd05, "Cortex-A55"),
    (0x41, 0xd07, "Cortex-A57"),
    (0x41, 0xd08, "Cortex-A72"),
    (0x41, 0xd09, "Cortex-A73"),
    (0x41, 0xd0a, "Cortex-A75"),
    (0x41, 0xd0b, "Cortex-A76"),
    (0x41, 0xd0c, "Neoverse N1"),
    (0x41, 0xd0d, "Cortex-A77"),
    (0x41, 0xd40, "Neoverse V1"),
    (0x41, 0xd41, "Cortex-A78"),
    (0x41, 0xd44, "Cortex-X1"),
    (0x41, 0xd49, "Neoverse N2"),
    (0x41, 0xd4f, "Neoverse V2"),
];

impl Processor {
    /// Processor of the system whose files are below `root`. If its cores differ, all kinds are named.
    pub fn below(root: &Path) -> Processor {
        let cpuinfo = text(&root.join("proc/cpuinfo")).unwrap_or_default();
        let board = text(&root.join("sys/firmware/devicetree/base/model"));
        let board = board.map(|board| board.trim_end_matches('\0').to_owned());
        let name = field(&cpuinfo, "model name").map(str::to_owned).or_else(|| arm_cores(&cpuinfo));
        Processor { name, board }
    }
}

/// Kinds of ARM cores in `/proc/cpuinfo`, each once.
fn arm_cores(cpuinfo: &str) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    let hex = |block: &str, name| u32::from_str_radix(field(block, name)?.strip_prefix("0x")?, 16).ok();
    for block in cpuinfo.split("\n\n") {
        let (Some(implementer), Some(part)) = (hex(block, "CPU implementer"), hex(block, "CPU part")) else {
            continue;
        };
        let known = PARTS.iter().find(|(i, p, _)| (*i, *p) == (implementer, part));
        let name = match known {
            Some((_, _, name)) => (*name).to_owned(),
            None => format!("CPU of implementer {implementer:#x}, part {part:#x}"),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| names.join(" + "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fixture;

    fn processor(files: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        let root = fixture(files);
        let found = Processor::below(root.path());
        (found.name, found.board)
    }

    #[test]
    fn an_x86_has_a_name_and_a_raspberry_pi_a_core_and_a_board() {
        let x86 = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some Xeon\n\nprocessor\t: 1\nmodel name\t: Some Xeon\n";
        assert_eq!(processor(&[("proc/cpuinfo", x86)]), (Some("Some Xeon".into()), None));
        let pi = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\nprocessor\t: 1\nCPU implementer\t: 0x41\n\
                  CPU part\t: 0xd0b\n\nRevision\t: d04170\n";
        let model = ("sys/firmware/devicetree/base/model", "Raspberry Pi 5 Model B Rev 1.0\0");
        let expected = (Some("Cortex-A76".into()), Some("Raspberry Pi 5 Model B Rev 1.0".into()));
        assert_eq!(processor(&[("proc/cpuinfo", pi), model]), expected);
    }

    #[test]
    fn cores_that_differ_are_all_named_and_unknown_ones_by_their_numbers() {
        let mixed =
            "CPU implementer\t: 0x41\nCPU part\t: 0xd05\n\nCPU implementer\t: 0x99\nCPU part\t: 0x001\n";
        let expected = "Cortex-A55 + CPU of implementer 0x99, part 0x1";
        assert_eq!(processor(&[("proc/cpuinfo", mixed)]).0.as_deref(), Some(expected));
        assert_eq!(processor(&[]), (None, None));
    }
}
