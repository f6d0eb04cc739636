//! Whether a passphrase is one of those that a guesser tries early. What it lets through may be weak all the same: it
//! knows nothing of the words that a person would choose.

/// Fewer characters than this can be tried one after the other, Argon2id or not.
const SHORTEST: usize = 12;
/// Fewer different characters are a pattern.
const DIFFERENT: usize = 6;
/// What people take most often, and add digits and signs to. Each list of leaked passwords begins with these.
const COMMON: [&str; 60] = [
    "password",
    "passphrase",
    "passwort",
    "passw",
    "secret",
    "geheim",
    "admin",
    "administrator",
    "root",
    "login",
    "welcome",
    "letmein",
    "iloveyou",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "basketball",
    "superman",
    "batman",
    "sunshine",
    "princess",
    "master",
    "shadow",
    "trustno",
    "whatever",
    "starwars",
    "computer",
    "internet",
    "michael",
    "jennifer",
    "charlie",
    "hello",
    "helloworld",
    "freedom",
    "summer",
    "winter",
    "spring",
    "autumn",
    "january",
    "february",
    "october",
    "november",
    "december",
    "changeme",
    "default",
    "test",
    "testing",
    "example",
    "stackkit",
    "terraform",
    "pulumi",
    "kubernetes",
    "production",
    "staging",
    "development",
    "company",
    "infrastructure",
    "correcthorsebatterystaple",
    "qwerty",
];
/// Rows that fingers run along.
const ROWS: [&str; 8] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
    "yxcvbnm",
    "1q2w3e4r5t6z7u",
];

/// Why a passphrase is too easy to guess; `None` where nothing says that it is. Never quotes it.
pub fn weakness(text: &str) -> Option<&'static str> {
    let text = text.trim().to_lowercase();
    if text.chars().count() < SHORTEST {
        return Some("it has fewer than 12 characters");
    }
    let different: std::collections::BTreeSet<char> = text.chars().collect();
    if different.len() < DIFFERENT {
        return Some("it is made of a few characters that repeat");
    }
    let mut left: Vec<Letter> = text.chars().filter_map(Letter::of).collect();
    for word in COMMON {
        remove(&mut left, word);
    }
    for row in ROWS {
        let backwards: String = row.chars().rev().collect();
        for row in [row, &backwards] {
            for length in (4..=row.len()).rev() {
                (0..=row.len() - length)
                    .filter_map(|from| row.get(from..from + length))
                    .for_each(|part| remove(&mut left, part));
            }
        }
    }
    // What is left is what a guesser has to find besides.
    if left.iter().filter(|letter| letter.written.is_alphabetic()).count() < 4 {
        return Some("it is a common password or a row of keys with little added");
    }
    repeats(&text).then_some("it is a short text over and over")
}

/// A letter or digit, and the letter that it may stand for in a password that was to look strong.
struct Letter {
    written: char,
    meant: char,
}

impl Letter {
    fn of(written: char) -> Option<Self> {
        let meant = match written {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        };
        meant.is_alphanumeric().then_some(Self { written, meant })
    }
}

/// Takes a word out wherever it stands.
fn remove(text: &mut Vec<Letter>, word: &str) {
    let length = word.chars().count();
    let is_word = |part: &[Letter]| {
        part.iter().zip(word.chars()).all(|(letter, wanted)| letter.written == wanted || letter.meant == wanted)
    };
    while let Some(at) = text.windows(length).position(is_word) {
        text.drain(at..at + length);
    }
}

/// Whether a text is its own beginning, again and again.
fn repeats(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    (1..=letters.len().div_ceil(2)).any(|length| letters.iter().zip(letters.iter().skip(length)).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guesser_tries_early_is_refused_and_what_people_are_told_to_take_is_not() {
        for (text, part) in [
            ("hunter2", "12 characters"),
            ("", "12 characters"),
            ("elevenchars", "12 characters"),
            ("            ", "12 characters"),
            ("aaaaaaaaaaaaaaaa", "few characters"),
            ("abababababababab", "few characters"),
            ("Password1234!", "common password"),
            ("P@ssw0rd2026!!", "common password"),
            ("qwertyuiop123456", "common password"),
            ("poiuytrewq98765", "common password"),
            ("Admin-Admin-2026", "common password"),
            ("correct horse battery staple", "common password"),
            ("abcdefghijklmnop", "common password"),
            ("zebrat zebrat ", "over and over"),
        ] {
            let why = weakness(text).unwrap_or_else(|| panic!("`{text}` is let through"));
            assert!(why.contains(part), "`{text}`: {why}");
        }
        for text in [
            "four common words here",
            "violet anchor basalt pickle",
            "Xk2-vQ9.mR7_tW",
            "straße über möwe",
            "中文密码需要十二个字符以上",
        ] {
            assert_eq!(weakness(text), None, "{text}");
        }
    }
}
