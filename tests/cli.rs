//! The command line as transcripts: what is typed, what comes out, with which exit code.

#[test]
fn transcripts_hold() {
    let cases = trycmd::TestCases::new();
    cases.case("tests/cli/*.trycmd").case("tests/cli/*.toml");
}
