//! Canaries: random secrets of many shapes that can be recognised in every usual spelling, whole or in part, and many of
//! them looked for at once.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// So many bytes of a spelling give a secret away.
const WINDOW: usize = 16;

/// Numbers between commas are common: it takes more of them.
const LIST_WINDOW: usize = 32;

/// What can be looked for in bytes.
pub trait Wanted {
    /// What of it stands in the bytes, and how it is spelt there.
    fn find_in(&self, bytes: &[u8]) -> Vec<String>;
}

/// A secret that was made for one test, or by what is tested.
#[derive(Clone)]
pub struct Canary {
    text: String,
    /// The random parts, any stretch of which gives it away; none where only the whole is known to be secret.
    random: Vec<Vec<u8>>,
}

/// What a canary looks like. Each has at least 24 random bytes, or 60 random digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Letters and digits.
    Plain,
    /// Letters, and every sign that some format escapes.
    Awkward,
    /// Letters of several alphabets.
    Unicode,
    /// A URL with a password.
    Url,
    /// A private key in PEM.
    Pem,
    /// Bytes; its text is their hexadecimal digits.
    Bytes,
    /// Digits.
    Digits,
    /// JSON text with a secret in it.
    Json,
    /// Bytes in base64.
    Base64,
    /// Bytes in hexadecimal digits.
    Hex,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Plain,
        Self::Awkward,
        Self::Unicode,
        Self::Url,
        Self::Pem,
        Self::Bytes,
        Self::Digits,
        Self::Json,
        Self::Base64,
        Self::Hex,
    ];
}

impl std::fmt::Debug for Canary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canary")
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self::new()
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => bytes,
        Err(error) => panic!("no random source: {error}"),
    }
}

fn letters<const N: usize>() -> String {
    STANDARD_NO_PAD.encode(random::<N>()).replace(['+', '/'], "x")
}

impl Canary {
    /// A new one: 32 letters and digits.
    ///
    /// # Panics
    /// When the system has no random source.
    pub fn new() -> Self {
        Self::shaped(Shape::Plain)
    }

    /// A new one of a shape.
    ///
    /// # Panics
    /// When the system has no random source.
    pub fn shaped(shape: Shape) -> Self {
        let within = |before: &str, secret: String, after: &str| Self {
            text: format!("{before}{secret}{after}"),
            random: vec![secret.into_bytes()],
        };
        match shape {
            Shape::Plain => within("", letters::<24>(), ""),
            Shape::Awkward => {
                let signs = ['"', '\\', '/', '+', '&', '%', ' ', '<', '=', '\n', '\'', '$', '{', '\t', '~', '#'];
                let mixed: Vec<char> = letters::<24>().chars().collect();
                let mixed = mixed.chunks(2).zip(signs).flat_map(|(some, sign)| some.iter().copied().chain([sign]));
                within("", mixed.collect(), "")
            }
            Shape::Unicode => {
                let mixed: String =
                    letters::<24>().chars().zip("äßµжλ中é".chars().cycle()).flat_map(|(a, b)| [a, b]).collect();
                within("", mixed, "")
            }
            Shape::Url => within("postgres://app:", letters::<24>(), "@db.example.org:5432/orders?sslmode=require"),
            Shape::Pem => {
                let lines = [letters::<48>(), letters::<48>(), letters::<30>()];
                let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
                Self { text, random: lines.into_iter().map(String::into_bytes).collect() }
            }
            Shape::Bytes => {
                let bytes = random::<32>();
                Self { text: hex(&bytes), random: vec![bytes.into()] }
            }
            Shape::Digits => within("", random::<60>().iter().map(|byte| char::from(b'0' + byte % 10)).collect(), ""),
            Shape::Json => within("{\"user\":\"app\",\"password\":\"", letters::<24>(), "\"}"),
            Shape::Base64 => {
                let bytes = random::<32>();
                let text = STANDARD.encode(bytes);
                Self { random: vec![bytes.into(), text.clone().into_bytes()], text }
            }
            Shape::Hex => {
                let bytes = random::<32>();
                Self { text: hex(&bytes), random: vec![bytes.into()] }
            }
        }
    }

    /// A secret that the program under test made, to be looked for as a whole.
    pub fn of(secret: &str) -> Self {
        Self { text: secret.to_owned(), random: Vec::new() }
    }

    /// The plain text.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// How the canary is spelt in the bytes, if it is there: plain, hexadecimal, base64 in any of its alignments, as a list
    /// of numbers, or escaped as in JSON, URLs or HTML. Of one that was made for the test, a part is enough.
    pub fn find(&self, bytes: &[u8]) -> Option<&'static str> {
        if self.random.is_empty() {
            let mut all = spellings(self.text.as_bytes()).into_iter();
            return all.find(|spelt| contains(bytes, &spelt.bytes)).map(|spelt| spelt.how);
        }
        let mut found = None;
        Canaries::of([("", self)]).search(bytes, |spelt| {
            found.get_or_insert(spelt.how);
        });
        found
    }
}

impl Wanted for Canary {
    fn find_in(&self, bytes: &[u8]) -> Vec<String> {
        self.find(bytes).map(str::to_owned).into_iter().collect()
    }
}

/// Many canaries, looked for in one pass: every stretch of 16 bytes of every spelling of each.
pub struct Canaries {
    names: Vec<String>,
    spellings: Vec<(usize, Spelt)>,
    /// Stretches of spellings: which, and from where.
    windows: HashMap<u128, (usize, usize)>,
    /// Those that are known as a whole alone.
    wholes: Vec<(usize, Canary)>,
}

impl std::fmt::Debug for Canaries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canaries").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Canaries {
    /// These, each by a name that may be told.
    pub fn of<'a>(canaries: impl IntoIterator<Item = (&'a str, &'a Canary)>) -> Self {
        let mut all = Self { names: Vec::new(), spellings: Vec::new(), windows: HashMap::new(), wholes: Vec::new() };
        for (name, canary) in canaries {
            let index = all.names.len();
            all.names.push(name.to_owned());
            if canary.random.is_empty() {
                all.wholes.push((index, canary.clone()));
            }
            for spelt in canary.random.iter().flat_map(|part| spellings(part)) {
                for (from, window) in spelt.bytes.windows(WINDOW).enumerate() {
                    all.windows.entry(number(window)).or_insert((all.spellings.len(), from));
                }
                all.spellings.push((index, spelt));
            }
        }
        all
    }

    /// Calls this with every spelling of which a part is there.
    fn search(&self, bytes: &[u8], mut found: impl FnMut(&Spelt)) {
        self.each(bytes, |_, spelt| found(spelt));
    }

    fn each(&self, bytes: &[u8], mut found: impl FnMut(usize, &Spelt)) {
        let mut window = 0u128;
        for (at, byte) in bytes.iter().enumerate() {
            window = (window << 8) | u128::from(*byte);
            let Some(start) = (at + 1).checked_sub(WINDOW) else { continue };
            let Some((spelling, from)) = self.windows.get(&window) else { continue };
            let Some((index, spelt)) = self.spellings.get(*spelling) else { continue };
            let length = if spelt.how == LIST { LIST_WINDOW } else { WINDOW };
            let wanted = spelt.bytes.get(*from..from + length);
            if wanted.is_some() && bytes.get(start..start + length) == wanted {
                found(*index, spelt);
            }
        }
    }
}

impl Wanted for Canaries {
    fn find_in(&self, bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        let mut note = |index: usize, how: &str| {
            let name = self.names.get(index).map_or("", String::as_str);
            let found = format!("{name}, {how}");
            if !all.contains(&found) {
                all.push(found);
            }
        };
        self.each(bytes, |index, spelt| note(index, spelt.how));
        for (index, canary) in &self.wholes {
            if let Some(how) = canary.find(bytes) {
                note(*index, how);
            }
        }
        all
    }
}

/// One way to write a secret.
struct Spelt {
    how: &'static str,
    bytes: Vec<u8>,
}

const LIST: &str = "list of numbers";

/// Every way in which a secret is usually written.
fn spellings(secret: &[u8]) -> Vec<Spelt> {
    let mut all = vec![Spelt { how: "plain", bytes: secret.to_vec() }];
    let mut add = |how: &'static str, bytes: Vec<u8>| {
        if !bytes.is_empty() && all.iter().all(|spelt| spelt.bytes != bytes) {
            all.push(Spelt { how, bytes });
        }
    };
    add("hexadecimal", hex(secret).into_bytes());
    add("hexadecimal", hex(secret).to_uppercase().into_bytes());
    for skip in 0..3 {
        // The characters at both ends depend on what stands beside the secret; those between do not.
        let aligned = secret.get((3 - skip) % 3..).unwrap_or_default();
        let aligned = &aligned[..aligned.len() / 3 * 3];
        if aligned.len() >= 12 {
            add("base64", STANDARD.encode(aligned).into_bytes());
            add("base64", URL_SAFE_NO_PAD.encode(aligned).into_bytes());
        }
    }
    for between in [",", ", ", " "] {
        let numbers: Vec<String> = secret.iter().map(u8::to_string).collect();
        add(LIST, numbers.join(between).into_bytes());
    }
    let escaped = |plain: &dyn Fn(u8) -> bool| -> Vec<u8> {
        let escape = |byte: &u8| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
        secret.iter().map(escape).collect::<String>().into_bytes()
    };
    add("escaped as in URLs", escaped(&|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
    add("escaped as in URLs", escaped(&|byte| byte.is_ascii_alphanumeric()));
    if let Ok(text) = std::str::from_utf8(secret) {
        let json = serde_json::Value::from(text).to_string();
        let json = json[1..json.len() - 1].to_owned();
        add("escaped as in scripts", json.replace('<', "\\u003c").replace('&', "\\u0026").into_bytes());
        add("escaped as in JSON", json.into_bytes());
        add("escaped as in Rust", text.escape_debug().to_string().into_bytes());
        add("escaped as in Rust", text.escape_default().to_string().into_bytes());
        let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        add("escaped as in HTML", html.replace('\'', "&#39;").into_bytes());
        add("escaped as in HTML", html.into_bytes());
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(window: &[u8]) -> u128 {
    window.iter().fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found() {
        let canary = Canary::new();
        let text = canary.reveal();
        assert_eq!(canary.find(b"nothing"), None);
        assert_eq!(canary.find(format!("a{text}b").as_bytes()), Some("plain"));
        for before in ["", "x", "xy", "xyz"] {
            let spelt = STANDARD.encode(format!("{before}{text}:more"));
            assert_eq!(canary.find(format!("<{spelt}>").as_bytes()), Some("base64"), "{before}");
        }
        assert_eq!(canary.find(hex(text.as_bytes()).as_bytes()), Some("hexadecimal"));
        let found = Canary::of("sesame, open").find(hex(b"sesame, open").as_bytes());
        assert_eq!(found, Some("hexadecimal"));
    }

    #[test]
    fn a_part_of_any_shape_is_found_and_nothing_else_is() {
        let made: Vec<(String, Canary)> =
            Shape::ALL.iter().map(|shape| (format!("{shape:?}"), Canary::shaped(*shape))).collect();
        let all = Canaries::of(made.iter().map(|(name, canary)| (name.as_str(), canary)));
        for (name, canary) in &made {
            for part in &canary.random {
                for spelt in spellings(part) {
                    let length = if spelt.how == LIST { LIST_WINDOW } else { WINDOW };
                    for from in [0, 1, spelt.bytes.len() / 2 - length / 2, spelt.bytes.len() - length] {
                        let planted = [b"before ", &spelt.bytes[from..from + length], b" after"].concat();
                        let found = all.find_in(&planted);
                        assert!(
                            found.iter().any(|found| found.starts_with(name.as_str())),
                            "{name} {}: {found:?}",
                            spelt.how
                        );
                    }
                    // One byte less is not enough to be sure.
                    let short = &spelt.bytes[1..WINDOW];
                    assert_eq!(all.find_in(short), Vec::<String>::new(), "{name} {}", spelt.how);
                }
            }
            assert!(canary.random.iter().all(|part| part.len() >= 24), "{name}");
        }
        let mut noise = vec![0; 1 << 20];
        getrandom::fill(&mut noise).expect("random bytes");
        let noise = [hex(&noise[..1 << 18]).into_bytes(), STANDARD.encode(&noise).into_bytes(), noise].concat();
        assert_eq!(all.find_in(&noise), Vec::<String>::new());
        assert_eq!(
            all.find_in(b"-----BEGIN PRIVATE KEY-----\npostgres://app:@db.example.org:5432"),
            Vec::<String>::new()
        );
    }
}
