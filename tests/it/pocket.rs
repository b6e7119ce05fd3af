//! The pocket model, converted once for all tests of this process.

use edgecall::{
    call::Settings,
    checkpoint::Checkpoint,
    convert::{self, FileType, Plan, Recipe, Targets},
    runtime::{Model, Options},
};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{OnceLock, atomic::AtomicBool},
};
use tempfile::TempDir;

const TYPES: [FileType; 5] = [FileType::F32, FileType::F16, FileType::Q8_0, FileType::Q6K, FileType::Q4KM];

/// Path of the pocket model as a GGUF file of this type.
pub fn pocket(file_type: FileType) -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| converted(&TYPES));
    in_folder(folder.path(), file_type)
}

/// A folder with the pocket model as GGUF files of these types.
pub fn converted(file_types: &[FileType]) -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    let checkpoint = Checkpoint::open(&source).unwrap();
    let plan =
        Plan::new(&checkpoint, Recipe { file_types: file_types.to_vec(), ..Recipe::default() }).unwrap();
    let targets = Targets::new(&checkpoint, &plan, Some(folder.path()), false).unwrap();
    convert::convert(&checkpoint, &plan, &targets, None, &mut (), &AtomicBool::new(false))
        .unwrap()
        .publish()
        .unwrap();
    folder
}

/// Path of the pocket model of this type in a folder of [`converted`].
pub fn in_folder(folder: &Path, file_type: FileType) -> PathBuf {
    folder.join(format!("pocket-{}.gguf", file_type.label()))
}

/// The pocket model in F16, loaded.
pub fn loaded() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::load(&pocket(FileType::F16)).unwrap())
}

/// Settings of test calls: greedy decoding on one thread, since tests share the machine and several threads wait for
/// each other by spinning.
pub fn settings() -> Settings {
    Settings {
        session: Options { threads: NonZeroUsize::new(1), ..Options::default() },
        ..Settings::default()
    }
}
