//! Reads objects and arrays that are elements, one transcoder inside of another.

use super::{
    key_types::{ITEMS, inside},
    members::KINDS,
    style_reader::Taken,
    transcoder::{Reading, State, Transcoder},
};

impl Transcoder {
    /// At the start of an array's item.
    pub(super) fn begin_item(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.complete.is_none() { b"[" } else { b", " });
        self.key = ITEMS.to_owned();
        self.value_at = self.read;
        self.begin_value((0..KINDS.len()).collect(), out);
    }

    /// At the start of a value that may be elements: the first tag tells.
    pub(super) fn container(&mut self, out: &mut Vec<u8>) -> Taken {
        let (State::Container { held, kinds }, Some(elements)) = (&self.state, self.elements.clone()) else {
            return Taken::Broken;
        };
        let (held, kinds) = (held.clone(), kinds.clone());
        let [array, object] =
            [4, 5].map(|kind| kinds.contains(&kind) && self.reading.members.values[kind].form.is_elements());
        let (open, item) = (elements.objects.open.as_bytes(), elements.items.open.as_bytes());
        let close = elements.objects.behind.first().map_or("", String::as_str).as_bytes();
        let begins = |text: &[u8]| text.starts_with(&held) && text.len() > held.len();
        // Whatever may still become another tag is waited for.
        if begins(open) || begins(close) || (array && object && begins(item)) {
            return Taken::Yes;
        }
        let others: Vec<usize> =
            kinds.into_iter().filter(|kind| !self.reading.members.values[*kind].form.is_elements()).collect();
        let is_array = array && (!object || held.starts_with(item) || held.starts_with(close));
        // Nothing at all is a string, if there may be one.
        let is_string = held.starts_with(close) && others.contains(&0);
        if !others.is_empty() && (!held.starts_with(open) || is_string) {
            self.begin_plain(others, out);
        } else if held.starts_with(open) {
            let members = if is_array { elements.items.clone() } else { elements.objects.clone() };
            let reading = Reading { members, types: self.reading.types.clone() };
            let mut inner = Transcoder::new(reading);
            inner.elements = Some(elements);
            inner.under = Some(inside(self.under.as_deref(), &self.key));
            inner.is_array = is_array;
            self.state = State::Elements(Box::new(inner));
        } else {
            return Taken::Broken;
        }
        self.again(&held, out)
    }

    /// Reads the bytes of `held` once more, in a state that has been found since.
    fn again(&mut self, held: &[u8], out: &mut Vec<u8>) -> Taken {
        for byte in held {
            loop {
                match self.step(*byte, out) {
                    Taken::Yes => break,
                    Taken::No => {}
                    Taken::Broken => return Taken::Broken,
                }
            }
        }
        Taken::Yes
    }

    /// Goes on behind elements, of whose end this many bytes have been read.
    pub(super) fn after_elements(&mut self, behind: usize) {
        let rest = self.reading.members.values[5].after(&self.key).into_bytes();
        self.state = State::After(rest.get(behind..).unwrap_or_default().to_vec());
    }
}
