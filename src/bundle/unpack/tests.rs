//! Archives that are unpacked, and those that are refused.

use super::*;
use flate2::{Compression, write::GzEncoder};
use std::{collections::BTreeMap, sync::atomic::Ordering};
use tar::{Builder, Header};

/// A header of this type for `size` bytes; the name is written as it is, whatever it is.
fn header(kind: EntryType, name: &[u8], size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    if kind == EntryType::GNUSparse {
        header.as_gnu_mut().unwrap().set_real_size(size);
    }
    header.set_cksum();
    header
}

fn tar(entries: &[(EntryType, &[u8], &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, contents) in entries {
        builder.append(&header(*kind, name, contents.len() as u64), *contents).unwrap();
    }
    builder.into_inner().unwrap()
}

fn files(entries: &[(&str, &str)]) -> Vec<u8> {
    let entries: Vec<_> =
        entries.iter().map(|(name, text)| (EntryType::Regular, name.as_bytes(), text.as_bytes())).collect();
    tar(&entries)
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Unpacks `bytes`; the files by name with their texts.
fn unpacked_with(bytes: &[u8], interrupt: &AtomicBool) -> Result<BTreeMap<String, String>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let (archive, into) = (folder.path().join("x.tar"), folder.path().join("into"));
    fs::write(&archive, bytes).unwrap();
    fs::create_dir(&into).unwrap();
    let format = if bytes.starts_with(b"\x1f\x8b") { Format::TarGz } else { Format::Tar };
    let result = unpack(&archive, format, &into, &mut (), interrupt);
    let outside: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside.len(), 2, "nothing is written outside the folder: {outside:?}");
    result.map(|()| {
        let mut found = BTreeMap::new();
        let mut folders = vec![into.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&into).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, fs::read_to_string(&path).unwrap());
                }
            }
        }
        found
    })
}

fn unpacked(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let chain = |error: Error| format!("{:#}", anyhow::Error::new(error));
    unpacked_with(bytes, &AtomicBool::new(false)).map_err(chain)
}

fn named(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn files_and_folders_are_unpacked_from_a_tar_and_a_compressed_one() {
    let bytes = tar(&[
        (EntryType::Directory, b"./", b""),
        (EntryType::Directory, b"./model/", b""),
        (EntryType::Regular, b"./model/config.json", b"{}"),
        (EntryType::Regular, b"._config.json", b"resource fork"),
        (EntryType::Regular, b"__MACOSX/model/._config.json", b"resource fork"),
        (EntryType::Regular, b"model_client.py", b"TOOLS = []"),
        (EntryType::Regular, b"model_client.pyc", b""),
    ]);
    let expected =
        named(&[("model/config.json", "{}"), ("model_client.py", "TOOLS = []"), ("model_client.pyc", "")]);
    assert_eq!(unpacked(&bytes), Ok(expected.clone()));
    assert_eq!(unpacked(&gz(&bytes)), Ok(expected.clone()));
    // Two members, as parallel compressors write them.
    let (first, second) = bytes.split_at(700);
    assert_eq!(unpacked(&[gz(first), gz(second)].concat()), Ok(expected));
}

#[test]
fn long_names_of_gnu_and_pax_are_read_and_headers_for_all_entries_are_ignored() {
    let long = format!("{}/config.json", "m".repeat(150));
    let mut builder = Builder::new(Vec::new());
    builder.append(&header(EntryType::XGlobalHeader, b"pax_global_header", 11), &b"11 comment="[..]).unwrap();
    let mut entry = Header::new_gnu();
    entry.set_size(2);
    builder.append_data(&mut entry, &long, &b"{}"[..]).unwrap();
    let pax = format!("path=model/{}", "n".repeat(120));
    let record = format!("{} {pax}\n", pax.len() + 5);
    builder
        .append(&header(EntryType::XHeader, b"PaxHeaders/x", record.len() as u64), record.as_bytes())
        .unwrap();
    builder.append(&header(EntryType::Regular, b"short", 1), &b"x"[..]).unwrap();
    let pax_name = format!("model/{}", "n".repeat(120));
    let expected = named(&[(&long, "{}"), (&pax_name, "x")]);
    assert_eq!(unpacked(&builder.into_inner().unwrap()), Ok(expected));
}

#[test]
fn an_entry_that_leaves_the_folder_is_refused_by_name() {
    for (name, part) in [
        (&b"../evil"[..], "entry `../evil` leaves the folder by `..`"),
        (b"model/../../evil", "leaves the folder"),
        (b"/tmp/evil", "entry `/tmp/evil` has an absolute path"),
        (b"a\xffb", "not UTF-8"),
        (b"a\x1b[31mb", "`a\\u{1b}[31mb` has a control character"),
    ] {
        let error = unpacked(&tar(&[(EntryType::Regular, name, b"x")])).unwrap_err();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains('\x1b'));
    }
}

#[test]
fn links_devices_pipes_and_sparse_files_are_refused_by_kind() {
    let mut link = header(EntryType::Symlink, b"model", 0);
    link.set_link_name("/etc").unwrap();
    link.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&link, &b""[..]).unwrap();
    let error = unpacked(&builder.into_inner().unwrap()).unwrap_err();
    assert!(error.contains("entry `model` is a symbolic link to `/etc`"), "{error}");
    for (kind, part) in [
        (EntryType::Link, "is a hard link"),
        (EntryType::Char, "is a device"),
        (EntryType::Block, "is a device"),
        (EntryType::Fifo, "is a pipe"),
        (EntryType::Continuous, "has the type `7`"),
        (EntryType::GNUSparse, "is a sparse file"),
    ] {
        let error = unpacked(&tar(&[(kind, b"x", b"")])).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let record = "22 GNU.sparse.major=1\n";
    let sparse = tar(&[
        (EntryType::XHeader, b"p", record.as_bytes()),
        (EntryType::Regular, b"GNUSparseFile.0/x", b"1\n"),
    ]);
    assert!(unpacked(&sparse).unwrap_err().contains("is a sparse file"));
}

#[test]
fn names_that_repeat_or_differ_only_in_case_are_refused() {
    let error = unpacked(&files(&[("a", "1"), ("a", "2")])).unwrap_err();
    assert!(error.contains("entry `a` is there twice"), "{error}");
    let error = unpacked(&files(&[("model/a", "1"), ("Model/b", "2")])).unwrap_err();
    assert!(error.contains("only in the case"), "{error}");
    let error = unpacked(&files(&[("model", "1"), ("model/b", "2")])).unwrap_err();
    assert!(error.contains("as a folder"), "{error}");
}

#[test]
fn an_archive_that_is_cut_short_anywhere_is_refused() {
    let bytes = files(&[("model/config.json", &"x".repeat(3000)), ("b", "y")]);
    // The end mark is two empty blocks.
    let entries = bytes.len() - 1024;
    for length in [100, 512, 700, 2000, 3584, 4000, entries - 100, entries] {
        let error = unpacked(&bytes[..length]).unwrap_err();
        assert!(error.contains("is cut short"), "{length}: {error}");
    }
    let packed = gz(&bytes);
    for length in [packed.len() / 2, packed.len() - 1, packed.len() - 8] {
        let error = unpacked(&packed[..length]).unwrap_err();
        assert!(error.contains("is cut short"), "{length}: {error}");
    }
}

#[test]
fn a_damaged_archive_is_refused() {
    let mut bytes = files(&[("a", "x"), ("b", "y")]);
    bytes[1024] ^= 1;
    assert!(unpacked(&bytes).unwrap_err().contains("is damaged; fetch it again: archive header checksum"));
    let mut packed = gz(&bytes);
    let check_sum = packed.len() - 6;
    packed[check_sum] ^= 1;
    let mut whole = gz(&files(&[("a", "x")]));
    let check_sum = whole.len() - 6;
    whole[check_sum] ^= 1;
    let error = unpacked(&whole).unwrap_err();
    assert!(error.contains("is damaged"), "{error}");
    assert!(unpacked(&gz(b"just a text")).unwrap_err().contains("no tar"));
}

#[test]
fn bombs_are_refused_before_they_fill_the_disk_or_the_memory() {
    // A few hundred kB of gzip that would become 300 MB.
    let zeros = vec![0; 300 << 20];
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    builder.append(&header(EntryType::Regular, b"zeros", zeros.len() as u64), &zeros[..]).unwrap();
    let bomb = builder.into_inner().unwrap().finish().unwrap();
    let error = unpacked(&bomb).unwrap_err();
    assert!(error.contains("unpacks to more than 100 times its size"), "{error}");

    // A name of 8 MiB, which the tar reader would keep in memory.
    let long = vec![b'a'; 8 << 20];
    let error = unpacked(&tar(&[(EntryType::GNULongName, b"././@LongLink", &long)])).unwrap_err();
    assert!(error.contains("bytes of headers for one entry"), "{error}");

    // A size that no disk has.
    let huge = header(EntryType::Regular, b"huge", 1 << 60);
    let error = unpacked(huge.as_bytes()).unwrap_err();
    assert!(error.contains("free, and unpacking takes at least"), "{error}");

    let many: Vec<String> = (0..=MAX_ENTRIES).map(|i| i.to_string()).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
    assert!(unpacked(&files(&many)).unwrap_err().contains("more than 10000 entries"));
}

#[test]
fn unpacking_ends_when_the_user_asks_for_it() {
    let interrupt = AtomicBool::new(false);
    interrupt.store(true, Ordering::Relaxed);
    let result = unpacked_with(&files(&[("a", "x")]), &interrupt);
    assert!(matches!(result, Err(Error::Interrupted)));
}
