#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| edgecall_fuzz::targets::adapter(data));
