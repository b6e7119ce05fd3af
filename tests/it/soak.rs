//! Calls with odd values are written in each format, taken by its grammar, read, and written again: what `scripts/soak_dialects`
//! does with many more.

#[path = "../../examples/soak_calls/random.rs"]
mod random;
#[path = "../../examples/soak_calls/trips.rs"]
mod trips;

use crate::{
    notation::{elements, families},
    shared::shared,
};
use edgecall::{
    chat::Template,
    dialect::{Arguments, Dialect, JsonStyle, derive::derive, named, names},
    runtime::Compiler,
};
use std::{fs, sync::Arc};
use trips::{Fate, trip};

/// Trips whose calls came back, of `n` in each of `formats`.
fn soak(formats: &[Arc<Dialect>], n: u64) -> usize {
    let compiler = Compiler::for_bytes().unwrap();
    let mut exact = 0;
    for dialect in formats {
        for seed in 0..n {
            match trip(&compiler, dialect, seed) {
                Ok(fate) => exact += usize::from(matches!(fate, Fate::Exact)),
                Err(error) => panic!("{}, seed {seed}: {error:#}", dialect.name),
            }
        }
    }
    exact
}

#[test]
fn calls_with_odd_values_come_back_in_every_known_format() {
    let indented = Dialect {
        arguments: Arguments::Json(JsonStyle::Indented { by: 2, base: 4 }),
        ..(*named("hermes").unwrap()).clone()
    };
    let known = names().into_iter().filter_map(|name| named(&name)).chain([Arc::new(indented)]);
    let formats: Vec<Arc<Dialect>> =
        known.chain(families()).chain([elements("]<]minimax[>["), elements("")]).collect();
    let exact = soak(&formats, 40);
    // The others hold what the format cannot say.
    assert!(exact > formats.len() * 25, "{exact}");
}

#[test]
fn conformance_calls_with_odd_values_come_back_in_the_format_of_every_template() {
    let Some(shared) = shared() else { return };
    let mut formats: Vec<Arc<Dialect>> = Vec::new();
    for folder in ["golden/dialects/jinja", "golden/templates/jinja"] {
        for entry in fs::read_dir(shared.join(folder)).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let Ok(derived) = derive(&Template::new(&text).unwrap()) else { continue };
            if !formats.iter().any(|known| **known == derived.dialect) {
                formats.push(Arc::new(derived.dialect));
            }
        }
    }
    assert!(formats.len() > 20, "{}", formats.len());
    soak(&formats, 200);
}
