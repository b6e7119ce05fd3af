//! Consent to a call: when the user is asked before a tool runs.

use std::collections::BTreeSet;

/// Effect of a tool on the world outside of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only reads.
    Reads,
    /// It may change something, or tell somebody.
    Acts,
}

/// Trust in a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Its effect.
    pub effect: Effect,
    /// Asks before each call.
    pub confirm: bool,
    /// Its output may hold text of strangers, such as a page of the web.
    pub untrusted_output: bool,
}

impl Trust {
    /// Trust in a tool of which nothing is known.
    pub const LEAST: Trust = Trust { effect: Effect::Acts, confirm: true, untrusted_output: true };
}

/// The reason to ask before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The tool is one to ask for.
    Unconfirmed,
    /// The tool acts, and the model has read text of strangers, who may have talked it into the call.
    UntrustedOutput,
}

/// Consent that the user has given beforehand.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    /// To every call.
    pub to_all: bool,
    /// To calls of these tools.
    pub to: BTreeSet<String>,
    /// Also to calls after untrusted output.
    pub trusts_output: bool,
}

impl Consent {
    /// The reason to ask before a call of the tool `name`; `None` to run it at once. `has_read_untrusted` is true once
    /// the conversation holds output that is not trusted.
    pub fn doubt(&self, name: &str, trust: Trust, has_read_untrusted: bool) -> Option<Doubt> {
        if trust.effect == Effect::Acts && has_read_untrusted && !self.trusts_output {
            return Some(Doubt::UntrustedOutput);
        }
        (trust.confirm && !self.to_all && !self.to.contains(name)).then_some(Doubt::Unconfirmed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READS: Trust = Trust { effect: Effect::Reads, confirm: false, untrusted_output: false };
    const ACTS: Trust = Trust { effect: Effect::Acts, confirm: true, untrusted_output: false };

    #[test]
    fn a_tool_that_acts_is_asked_for_unless_there_is_a_yes_to_it() {
        let none = Consent::default();
        let all = Consent { to_all: true, ..Consent::default() };
        let one = Consent { to: ["f".to_owned()].into(), ..Consent::default() };
        assert_eq!(none.doubt("f", ACTS, false), Some(Doubt::Unconfirmed));
        assert_eq!(none.doubt("f", READS, false), None);
        assert_eq!(all.doubt("f", ACTS, false), None);
        assert_eq!(one.doubt("f", ACTS, false), None);
        assert_eq!(one.doubt("g", ACTS, false), Some(Doubt::Unconfirmed));
    }

    #[test]
    fn after_untrusted_output_no_earlier_yes_counts_for_a_tool_that_acts() {
        let all = Consent { to_all: true, to: ["f".to_owned()].into(), trusts_output: false };
        let unasked = Trust { confirm: false, ..ACTS };
        for trust in [ACTS, unasked, Trust::LEAST] {
            assert_eq!(all.doubt("f", trust, true), Some(Doubt::UntrustedOutput));
        }
        assert_eq!(all.doubt("f", READS, true), None);
        let trusting = Consent { trusts_output: true, ..all };
        assert_eq!(trusting.doubt("f", ACTS, true), None);
        let trusting = Consent { trusts_output: true, ..Consent::default() };
        assert_eq!(trusting.doubt("f", ACTS, true), Some(Doubt::Unconfirmed));
    }
}
