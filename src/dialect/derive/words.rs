//! Words for questions, which come out of a rendering as they went in.

/// Words that no template holds.
#[derive(Clone, Debug)]
pub(super) struct Words {
    pub prefix: String,
    pub question: String,
    pub later_question: String,
    pub answer: String,
    pub thought: String,
    pub result: String,
}

impl Words {
    /// Words that do not occur in `template`; `None` if it holds every one that is tried.
    pub fn new(template: &str) -> Option<Words> {
        let template = template.to_lowercase();
        let letters = ('a'..='z').flat_map(|a| ('a'..='z').map(move |b| format!("zq{a}{b}")));
        let prefix = letters.into_iter().find(|prefix| !template.contains(prefix.as_str()))?;
        let word = |what: &str| format!("{prefix}{what}");
        Some(Words {
            question: word("ask"),
            later_question: word("again"),
            answer: word("says"),
            thought: word("thinks"),
            result: word("result"),
            prefix,
        })
    }

    /// The name of a tool.
    pub fn name(&self, nth: usize) -> String {
        format!("{}tool{nth}", self.prefix)
    }

    /// A key; the keys are in alphabetical order.
    pub fn key(&self, nth: usize) -> String {
        format!("{}key{nth:02}", self.prefix)
    }

    /// A text as a value.
    pub fn value(&self, nth: usize) -> String {
        format!("{}value{nth:02}", self.prefix)
    }

    /// An id of nine letters and digits, as Mistral's templates want it.
    pub fn id(&self, nth: usize) -> String {
        format!("{}i{nth:04}", self.prefix)
    }

    /// A word that these do not hold.
    pub fn other(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }
}
