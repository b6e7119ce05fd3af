//! How calls are written: which dialect a chat template teaches, each dialect's grammar both ways,
//! tools told in text, and a real model that nobody here made.

use crate::shared::shared;
use edgecall::call;
use std::fs;

#[test]
fn conformance_each_golden_template_has_its_dialect_or_is_refused_by_name() {
    let Some(shared) = shared() else { return };
    let mut names: Vec<_> =
        fs::read_dir(shared.join("golden/templates/jinja")).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for path in names {
        let start = std::time::Instant::now();
        let manner = call::manner_of(&fs::read_to_string(&path).unwrap(), None);
        println!(
            "{} {:?} {:?}",
            path.file_stem().unwrap().display(),
            manner.map_err(|e| e.to_string()),
            start.elapsed()
        );
    }
}
