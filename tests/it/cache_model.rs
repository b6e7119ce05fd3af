//! `cache list --verify`: the model of cached states is still the one that made them, or not.

use crate::{
    cache::{cache_in, evaluate, options},
    pocket::pocket,
};
use edgecall::{
    cache::{FileKind, ModelState},
    convert::FileType,
    runtime::Model,
};
use serde_json::json;
use std::{fs, path::Path};

/// State of the only model in `cache` after verification, with the reason; true if there is a complaint.
fn verified(cache: &Path) -> (ModelState, String, bool) {
    let listing = cache_in(cache).list(true).unwrap();
    let [model] = &listing.models[..] else { panic!("{listing}") };
    let of_it = |file: &&edgecall::cache::Listed| file.model_id.as_ref() == Some(&model.id);
    assert_eq!(listing.files.iter().filter(of_it).count(), 4);
    let text = listing.to_string();
    assert!(text.contains(&format!("prefix, model {}", model.state.unwrap())), "{text}");
    (model.state.unwrap(), model.reason.clone().unwrap(), listing.complaint().is_some())
}

#[test]
fn verifying_hashes_the_model_and_finds_a_byte_that_no_sample_sees() {
    let folder = tempfile::tempdir().unwrap();
    let (path, cache) = (folder.path().join("copy.gguf"), folder.path().join("cache"));
    fs::copy(pocket(FileType::Q8_0), &path).unwrap();
    let restored = || evaluate(&Model::load(&path).unwrap(), &options("f16"), &cache).0.restored;
    assert_eq!(restored(), 0);
    assert!(cache_in(&cache).list(false).unwrap().models.iter().all(|model| model.state.is_none()));
    let (state, reason, complains) = verified(&cache);
    assert_eq!((state, complains), (ModelState::HashedFirst, false), "{reason}");
    let (state, reason, complains) = verified(&cache);
    assert_eq!((state, complains), (ModelState::Same, false), "{reason}");
    assert_eq!(reason, "as at the first hash");

    // Changed in place with the same modification time: samples and stat are unchanged.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let data_start = Model::read_header(&path).unwrap().data_start;
    let bytes = fs::read(&path).unwrap();
    let step = (bytes.len() as u64 - data_start) / 64;
    assert!(step > 2 * 4096, "{step}");
    let flip = |at: u64| {
        use std::os::unix::fs::FileExt;
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        file.set_modified(modified).unwrap();
    };
    let unseen = data_start + step * 20 + 4096 + step / 4;
    flip(unseen);
    let (state, reason, complains) = verified(&cache);
    assert_eq!((state, complains), (ModelState::Altered, true));
    assert!(reason.contains("first hash"), "{reason}");
    assert_eq!(verified(&cache).0, ModelState::Altered, "what was noted stays");
    assert_eq!(restored(), 420, "calls cannot tell");
    flip(unseen);
    assert_eq!(verified(&cache).0, ModelState::Same);

    // The converter's report next to the file, about this file or about one of another length.
    let report = |bytes: usize, sha256: &str| {
        let report = json!({"file": {"file_bytes": bytes, "sha256": sha256}, "tensors": []});
        fs::write(folder.path().join("copy.gguf.json"), report.to_string()).unwrap();
    };
    report(bytes.len() + 1, "00");
    assert_eq!(verified(&cache).1, "as at the first hash");
    report(bytes.len(), "00");
    let (state, reason, _) = verified(&cache);
    assert!(state == ModelState::Altered && reason.contains("copy.gguf.json says"), "{reason}");
    use sha2::{Digest, Sha256};
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    report(bytes.len(), &sha256);
    let (state, reason, _) = verified(&cache);
    assert!(state == ModelState::Same && reason.contains("copy.gguf.json says"), "{reason}");
    assert_eq!(cache_in(&cache).list(true).unwrap().models[0].files[0].sha256.as_ref(), Some(&sha256));
}

#[test]
fn a_model_that_is_gone_touched_moved_or_out_of_reach_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let models = folder.path().join("models");
    fs::create_dir(&models).unwrap();
    let path = models.join("copy.gguf");
    fs::copy(pocket(FileType::Q8_0), &path).unwrap();
    let restored = |path: &Path| evaluate(&Model::load(path).unwrap(), &options("f16"), &cache).0.restored;
    assert_eq!(restored(&path), 0);
    assert_eq!(verified(&cache).0, ModelState::HashedFirst);

    // A file moved on the same disk is recognised, and the next call records its new path.
    let moved = models.join("moved.gguf");
    fs::rename(&path, &moved).unwrap();
    let (state, _, complains) = verified(&cache);
    assert_eq!((state, complains), (ModelState::Missing, false));
    assert_eq!(restored(&moved), 420);
    assert_eq!(verified(&cache).0, ModelState::Same, "its hash moves along");

    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&models, &elsewhere).unwrap();
    fs::write(&models, "no folder").unwrap();
    let (state, reason, complains) = verified(&cache);
    assert_eq!((state, complains), (ModelState::Unreadable, true), "{reason}");
    fs::remove_file(&models).unwrap();
    fs::rename(&elsewhere, &models).unwrap();
    assert_eq!(verified(&cache).0, ModelState::Same);

    let modified = fs::metadata(&moved).unwrap().modified().unwrap();
    fs::File::open(&moved).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let (state, _, complains) = verified(&cache);
    assert_eq!((state, complains), (ModelState::Replaced, false));
    fs::File::open(&moved).unwrap().set_modified(modified).unwrap();

    let note =
        cache_in(&cache).list(false).unwrap().files.into_iter().find(|file| file.kind == FileKind::Model);
    fs::remove_file(cache_in(&cache).path().join(note.unwrap().name)).unwrap();
    let (state, _, complains) = verified(&cache);
    assert_eq!((state, complains), (ModelState::Unknown, true));
    assert_eq!(restored(&moved), 420);
    assert_eq!(verified(&cache).0, ModelState::HashedFirst);
}
