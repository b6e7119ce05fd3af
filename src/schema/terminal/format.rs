//! The standard's formats as regular expressions.

use super::{encode::Spelling, pattern};
use crate::schema::options::Meaning;

/// Support of the grammar for a format.
pub(crate) enum Format {
    /// The pattern accepts exactly the format's texts, except for what its comment states.
    Exact(String),
    /// The pattern accepts the format's texts and some others.
    Wider(String),
    /// A format of the standard without a pattern: checked when the value is complete.
    Unwritten,
    /// Not a format of the standard: an annotation.
    Unknown,
}

const ALNUM: &str = "[A-Za-z0-9]";
/// Without the year 0, which the standard allows and few programs read.
const DATE: &str = concat!(
    "(?:(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)",
    "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)",
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])",
    "|(?:0[48]|[2468][048]|[13579][26])00)-02-29)"
);
const OCTET: &str = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const UNRESERVED: &str = "A-Za-z0-9._~\\-";
const SUB_DELIMS: &str = "!$&'()*+,;=";

/// The support for format `name`. A tool's arguments have no leap seconds: the standard allows them, but few
/// programs that parse a time do.
pub(crate) fn format(name: &str, meaning: Meaning) -> Format {
    let time = || time(meaning == Meaning::Standard);
    match name {
        "date" => Format::Exact(DATE.into()),
        "time" => Format::Exact(time()),
        "date-time" => Format::Exact(format!("{DATE}[Tt]{}", time())),
        "duration" => Format::Exact(duration()),
        "ipv4" => Format::Exact(ipv4()),
        "ipv6" => Format::Exact(ipv6()),
        "uuid" => Format::Exact("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}".into()),
        "email" => Format::Wider(email()),
        "hostname" => Format::Wider(format!(
            "(?:{ALNUM}(?:[A-Za-z0-9\\-]{{0,61}}{ALNUM})?\\.){{0,126}}{ALNUM}(?:[A-Za-z0-9\\-]{{0,61}}{ALNUM})?"
        )),
        "uri" => Format::Exact(uri(false)),
        "uri-reference" => Format::Exact(uri(true)),
        "json-pointer" => Format::Exact("(?:/(?:[^~/]|~[01])*)*".into()),
        "relative-json-pointer" => Format::Exact("(?:0|[1-9][0-9]{0,8})(?:#|(?:/(?:[^~/]|~[01])*)*)".into()),
        "uri-template" => {
            Format::Wider("(?:[^\\x00-\\x20\\x7f\"<>\\\\^`{|}]|\\{[^{}\\x00-\\x20\"]+\\})*".into())
        }
        "iri" => Format::Wider("[A-Za-z][A-Za-z0-9+.\\-]*:[^\\x00-\\x20<>\"{}|^`\\\\]*".into()),
        "iri-reference" => Format::Wider("[^\\x00-\\x20<>\"{}|^`\\\\]*".into()),
        "idn-email" => Format::Wider("[^@]+@[^@]+|\"[^\"]*\"@[^@]+".into()),
        "idn-hostname" | "regex" => Format::Unwritten,
        _ => Format::Unknown,
    }
}

/// The canonical JSON strings, quotes included, for a pattern in this module.
pub(crate) fn written(text: &str, spelling: Spelling) -> String {
    pattern::written(&format!("^(?:{text})$"), spelling).expect("the formats' patterns are constants")
}

/// RFC 3339 `full-time`. Leap seconds, if wanted, are allowed for offsets of whole and half hours.
fn time(with_leap_seconds: bool) -> String {
    let plain = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,16})?(?:[Zz]|[+\-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
    if !with_leap_seconds {
        return format!("(?:{plain})");
    }
    let mut leap = vec!["23:59:60(?:\\.[0-9]{1,16})?(?:[Zz]|[+\\-]00:00)".to_string()];
    for minutes in (30..24 * 60).step_by(30) {
        let (h, m) = (minutes / 60, minutes % 60);
        let ahead = (23 * 60 + 59 + minutes) % (24 * 60);
        let behind = (23 * 60 + 59 + 24 * 60 - minutes) % (24 * 60);
        for (local, sign) in [(ahead, "\\+"), (behind, "-")] {
            leap.push(format!(
                "{:02}:{:02}:60(?:\\.[0-9]{{1,16}})?{sign}{h:02}:{m:02}",
                local / 60,
                local % 60
            ));
        }
    }
    format!("(?:{plain}|{})", leap.join("|"))
}

/// Regular expression for the format `duration` (RFC 3339, appendix A).
fn duration() -> String {
    let n = "[0-9]{1,16}";
    let time = format!("T(?:{n}H(?:{n}M(?:{n}S)?)?|{n}M(?:{n}S)?|{n}S)");
    let date = format!("(?:{n}Y(?:{n}M(?:{n}D)?)?|{n}M(?:{n}D)?|{n}D)");
    format!("P(?:{date}(?:{time})?|{time}|{n}W)")
}

fn ipv4() -> String {
    format!("(?:{OCTET}\\.){{3}}{OCTET}")
}

/// RFC 4291 section 2.2: a single `::` replaces missing groups.
fn ipv6() -> String {
    let h = "[0-9a-fA-F]{1,4}";
    let tail = format!("(?:{h}:{h}|{})", ipv4());
    let mut forms = vec![format!("(?:{h}:){{6}}{tail}"), format!("::(?:{h}:){{5}}{tail}")];
    for left in 0..=4_usize {
        // At most `left` + 1 groups before the gap, then 4 - left groups and the last 32 bits.
        let before = if left == 0 { format!("(?:{h})?") } else { format!("(?:(?:{h}:){{0,{left}}}{h})?") };
        let after = 4 - left;
        forms.push(if after == 0 {
            format!("{before}::{tail}")
        } else {
            format!("{before}::(?:{h}:){{{after}}}{tail}")
        });
    }
    forms.push(format!("(?:(?:{h}:){{0,5}}{h})?::{h}"));
    forms.push(format!("(?:(?:{h}:){{0,6}}{h})?::"));
    format!("(?:{})", forms.join("|"))
}

/// RFC 5321 mailboxes: dot strings and quoted strings, domains and address literals.
fn email() -> String {
    let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-]+";
    let label = "[A-Za-z0-9](?:[A-Za-z0-9\\-]{0,61}[A-Za-z0-9])?";
    format!(
        "(?:{atom}(?:\\.{atom})*|\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\")@(?:{label}(?:\\.{label})*|\\[{}\\]|\\[IPv6:{}\\])",
        ipv4(),
        ipv6()
    )
}

/// RFC 3986 URI, or also a relative reference if `reference`.
fn uri(reference: bool) -> String {
    let pchar = format!("(?:[{UNRESERVED}{SUB_DELIMS}:@]|%[0-9a-fA-F]{{2}})");
    let no_colon = format!("(?:[{UNRESERVED}{SUB_DELIMS}@]|%[0-9a-fA-F]{{2}})");
    let userinfo = format!("(?:[{UNRESERVED}{SUB_DELIMS}:]|%[0-9a-fA-F]{{2}})*");
    let name = format!("(?:[{UNRESERVED}{SUB_DELIMS}]|%[0-9a-fA-F]{{2}})*");
    let literal = format!("\\[(?:{}|[vV][0-9a-fA-F]+\\.[{UNRESERVED}{SUB_DELIMS}:]+)\\]", ipv6());
    let authority = format!("//(?:{userinfo}@)?(?:{literal}|{name})(?::[0-9]*)?(?:/{pchar}*)*");
    let absolute = format!("/(?:{pchar}+(?:/{pchar}*)*)?");
    let rootless = format!("{pchar}+(?:/{pchar}*)*");
    let tail = format!("(?:\\?(?:{pchar}|[/?])*)?(?:#(?:{pchar}|[/?])*)?");
    let full = format!("[A-Za-z][A-Za-z0-9+.\\-]*:(?:{authority}|{absolute}|{rootless})?");
    if reference {
        let noscheme = format!("{no_colon}+(?:/{pchar}*)*");
        format!("(?:{full}|(?:{authority}|{absolute}|{noscheme})?){tail}")
    } else {
        format!("{full}{tail}")
    }
}
