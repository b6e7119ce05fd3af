//! Texts of the token check, chosen where tokenizers tend to disagree.
//!
//! Some differences are left out, since llama.cpp has them for every model of a family and no conversion could
//! pass: folding of non-ASCII letters in contractions (`'ſ`); a combining mark right after a special token,
//! which normalizing the whole text would merge with it; and ordinary tokens that llama.cpp treats as control
//! tokens because of their text, such as `</s>` in Qwen3's vocabulary.

use crate::checkpoint::tokenizer::{Error, Token, Tokenizer};

/// All texts to compare, in a fixed order. `tokens` is the whole vocabulary; `is_plain` is true for tokens that
/// llama.cpp treats as ordinary.
pub(super) fn all(
    tokenizer: &Tokenizer,
    tokens: &[Token],
    is_plain: impl Fn(u32) -> bool,
) -> Result<Vec<String>, Error> {
    let mut probes: Vec<String> = FIXED.iter().map(|text| (*text).to_owned()).collect();
    probes.extend(repeated());
    for token in tokens.iter().filter(|token| token.added.is_some()) {
        probes.extend(around(&token.text));
    }
    probes.extend(sample(tokenizer, tokens, is_plain)?);
    if let Some(template) = tokenizer.chat_template() {
        probes.extend(template.texts().map(str::to_owned));
    }
    Ok(probes)
}

const FIXED: &[&str] = &[
    "",
    " ",
    "a",
    "Hello, world!",
    // Code.
    "fn main() {\n    let mut v: Vec<u8> = vec![0; 1 << 10];\n\tprintln!(\"{:?}\", &v[..]);\r\n}\n",
    "def f(x, *, y=None):\n    \"\"\"Doc.\"\"\"\n    return {**x, 'y': y}  # comment\n\n\nclass A(B): pass\n",
    "<div class=\"a-b\" style='x:y'>&nbsp;<!-- c --></div>\n<script>if(a&&b||!c){d();}</script>",
    "{\"name\": \"ReserveRestaurant\", \"arguments\": {\"time\": \"19:30\", \"party_size\": 4}}",
    "SELECT * FROM t WHERE a<>'b' AND c>=1e-9; -- done",
    "#!/bin/sh\nset -eu; for f in *.txt; do echo \"$f\" | sed 's/a/b/g' >> /tmp/out; done",
    "a/b\\c//d\\\\e ../.. https://example.org/a?b=c&d=%20#e user@example.org",
    "x_y __init__ camelCase PascalCase SCREAMING_CASE kebab-case iPhone15Pro",
    // Digits.
    "0 1 12 123 1234 12345 123456 1234567 12345678 1,234,567.89 0x1F 1e-10 3.14 v1.2.3 2024-12-31T23:59:59Z",
    "12345678901234567890123456789012345678901234567890",
    "١٢٣٤٥ १२३ ②③ ½ Ⅳ ４５６ 七八九 10⁻⁹",
    // Contractions, in every case.
    "I'm you're he'll we've they'd it's don't",
    "I'M YOU'RE HE'LL WE'VE THEY'D IT'S DON'T I'Ll we'Ve he'S O'Clock rock'n'roll '90s 'twas",
    "I’m you’re he‘s `quoted' ''double'' 'single'",
    // White space.
    "  two   three    four     ",
    "\n",
    "\n\n\n",
    "\t",
    "\t\t a\t b \t",
    " \n \n\n \t\n\t \n  x\n ",
    "a\r\nb\rc\n\rd \r\n \r\n",
    "a \n b  \n  c\t\n\td\n\n\n   e",
    "trailing   ",
    "   leading",
    "end\n   ",
    "no\u{a0}break\u{2003}em\u{3000}ideographic\u{2028}line\u{2029}paragraph\u{85}next\u{b}vertical\u{c}feed",
    "zero\u{200b}width\u{200c}non\u{200d}joiner\u{2060}word",
    // Emoji: joined, with skin tones, flags, keycaps, variation selectors.
    "👩‍👩‍👧‍👦 👨🏽‍🚒 🏳️‍🌈 🇩🇪🇯🇵 1️⃣ ❤️ ☺︎ 🫠🥹 😶‍🌫️",
    "text😀text 😀 😀😀😀 \u{1f9d1}\u{1f3ff}\u{200d}\u{1f4bb}",
    // Scripts.
    "我想在apple工作1314151天～ 你好，世界！《三国演义》……",
    "日本語のテキスト、カタカナとひらがな。ｶﾀｶﾅ㍿",
    "한국어 문장입니다. 각각",
    "𠮷野家 𝕳𝖊𝖑𝖑𝖔 𝟙𝟚𝟛 𐍈",
    "مرحبا بالعالم، كيف حالك؟ السَّلامُ عَلَيْكُم ١٢٣",
    "שלום עולם! שָׁלוֹם",
    "नमस्ते दुनिया, क्षत्रिय १२३ हिन्दी",
    "สวัสดีชาวโลก កាន់តែពិសេសអាច தமிழ் తెలుగు ქართული Հայերեն አማርኛ",
    "Příliš žluťoučký kůň, naïve façade, Ærøskøbing, Ελληνικά, Привет мир, Tiếng Việt İstanbul ıI ǅ",
    // Combining marks, composed and decomposed.
    "caf\u{e9} cafe\u{301} \u{c5}ngstr\u{f6}m A\u{30a}ngstro\u{308}m \u{212b} \u{1e69} s\u{323}\u{307} s\u{307}\u{323}",
    "\u{1112}\u{1161}\u{11ab} \u{d55c} \u{fb01} \u{2126} q\u{307}\u{323} Z\u{351}\u{36b}\u{343}a\u{30d}l\u{30b}g\u{30e}o\u{30f}",
    "\u{301}mark first \u{20dd} a\u{20dd} \u{95c} \u{958}",
    // Punctuation and symbols.
    "!!!???...,,,;;;:::---___===+++***///\\\\\\|||~~~^^^```'''\"\"\"((([[[{{{}}}]]])))<<<>>>",
    "«guillemets» “curly” ‘single’ – en — em … • · † ‡ § ¶ © ® ™ ° ± × ÷ ≠ ≤ ∞ ∑ √ ∂ € £ ¥ ₿",
    "=> -> <= >= != == && || << >> ** // /* */ <!-- --> ::= ... ?. ?? @ # $ % ^ & *",
    // Control characters, private use, unassigned, the edges of Unicode.
    "a\u{1}b\u{7}c\u{8}d\u{1b}[31me\u{7f}f\u{80}g\u{9f}h",
    "nul\0inside",
    "\u{feff}byte order mark\u{feff}inside",
    "\u{e000}private\u{f8ff}use\u{f0000}\u{10fffd}",
    "\u{fffd}replacement\u{fffe}\u{ffff}\u{10ffff}",
    "left\u{200f}right\u{202e}override\u{202c}\u{2066}isolate\u{2069}\u{ad}soft\u{34f}joiner",
    // Text that looks like a special token and is none.
    "<|im_start <|im_end| |im_start|> <|nothing|> <tool_call > </ tool_call> <think/> [INST] <<SYS>> <0x0A>",
    "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call><think>\n\n</think>\n\n",
    "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
];

/// Runs longer than any token.
fn repeated() -> Vec<String> {
    [
        " ".repeat(300),
        "\n".repeat(200),
        "\t".repeat(100),
        " \n".repeat(80),
        "ab ".repeat(200),
        "a".repeat(500),
        "7".repeat(300),
        "=".repeat(200),
        "é".repeat(100),
        "🙂".repeat(60),
        format!("{}x", " ".repeat(129)),
        format!("x{}\n{}y", " ".repeat(65), " ".repeat(33)),
    ]
    .into()
}

/// Texts with an added token first, inside words, between spaces, doubled, beside digits and line ends, and
/// last; and one with the token cut short.
fn around(token: &str) -> Vec<String> {
    let mut texts = vec![format!(
        "{token} a{token}b {token} x  {token}\ny\n{token}  z{token}{token}\n\n{token}1{token}2.{token}, '{token}'\t{token}"
    )];
    if let Some((last, _)) = token.char_indices().next_back().filter(|(at, _)| *at > 0) {
        texts.push(format!("x{} y", &token[..last]));
    }
    texts
}

/// Most ordinary tokens that are sampled.
const SAMPLE: usize = 4096;

/// Texts of ordinary tokens from the whole vocabulary, sixteen to a text, for ids that the fixed texts do not
/// reach. Small vocabularies are taken whole.
fn sample(
    tokenizer: &Tokenizer,
    tokens: &[Token],
    is_plain: impl Fn(u32) -> bool,
) -> Result<Vec<String>, Error> {
    let plain = tokens.iter().filter(|token| token.added.is_none() && is_plain(token.id));
    let ids: Vec<u32> = plain.map(|token| token.id).collect();
    let step = ids.len().div_ceil(SAMPLE).max(1);
    let ids: Vec<u32> = ids.into_iter().step_by(step).collect();
    ids.chunks(16).map(|ids| tokenizer.decode(ids)).collect()
}
