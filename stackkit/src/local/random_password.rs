//! `RandomPassword`: a random password that only ever exists as a secret.

use std::collections::BTreeMap;

use stackkit_macros::resource;
use zeroize::Zeroizing;

use super::{Local, disk, random};
use crate::context::Context;
use crate::error::Error;
use crate::resource::{Created, Managed, Problem};
use crate::secret::Secret;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";

/// A random password. Its value is a secret: sealed in the state and shown nowhere.
///
/// A change of any input makes a new password. An existing one is imported by the path of a file that holds it.
#[resource("local:RandomPassword", pure, immutable)]
pub struct RandomPassword {
    /// Number of characters, 1 to 4096.
    pub length: u32,
    /// Whether lower-case letters may occur.
    #[resource(default = true)]
    pub lower: bool,
    /// Whether upper-case letters may occur.
    #[resource(default = true)]
    pub upper: bool,
    /// Whether digits may occur.
    #[resource(default = true)]
    pub digits: bool,
    /// Whether special characters may occur.
    #[resource(default = true)]
    pub special: bool,
    /// Which special characters there are.
    #[resource(default = "!#$%&*()-_=+[]{}<>:?")]
    pub special_characters: String,
    /// How many lower-case letters there are at least; counts only where they may occur.
    #[resource(default = 1)]
    pub min_lower: u32,
    /// How many upper-case letters there are at least; counts only where they may occur.
    #[resource(default = 1)]
    pub min_upper: u32,
    /// How many digits there are at least; counts only where they may occur.
    #[resource(default = 1)]
    pub min_digits: u32,
    /// How many special characters there are at least; counts only where they may occur.
    #[resource(default = 1)]
    pub min_special: u32,
    /// Any values; when one of them changes, a new password is made.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub keepers: BTreeMap<String, String>,
    /// The password.
    #[resource(output)]
    pub value: Secret<String>,
}

impl RandomPasswordArgs {
    /// The classes of characters that may occur, each with its least count.
    fn classes(&self) -> Vec<(Vec<char>, usize)> {
        [
            (self.lower, LOWER, self.min_lower),
            (self.upper, UPPER, self.min_upper),
            (self.digits, DIGITS, self.min_digits),
            (self.special, self.special_characters.as_str(), self.min_special),
        ]
        .into_iter()
        .filter(|(allowed, ..)| *allowed)
        .map(|(_, characters, least)| (characters.chars().collect(), least as usize))
        .collect()
    }

    fn generate(&self) -> Result<Secret<String>, Error> {
        let classes = self.classes();
        let all: Vec<char> = classes.iter().flat_map(|(characters, _)| characters).copied().collect();
        // One allocation of the final size, so that no grown copy of it stays behind in memory.
        let mut drawn = Zeroizing::new(Vec::with_capacity(self.length as usize));
        for (characters, least) in &classes {
            for _ in 0..*least {
                drawn.push(pick(characters)?);
            }
        }
        while drawn.len() < self.length as usize {
            drawn.push(pick(&all)?);
        }
        for last in (1..drawn.len()).rev() {
            let other = random::below(last + 1)?;
            drawn.swap(last, other);
        }
        let mut text = String::with_capacity(drawn.len() * 4);
        text.extend(drawn.iter());
        Ok(Secret::new(text))
    }
}

fn pick(characters: &[char]) -> Result<char, Error> {
    let at = random::below(characters.len())?;
    characters.get(at).copied().ok_or_else(|| Error::invalid("there are no characters to make a password of"))
}

impl Managed for RandomPassword {
    type Provider = Local;

    async fn create(_: &Local, cx: &Context, args: &RandomPasswordArgs) -> Result<Created<Self>, Error> {
        Ok(Created::new(cx.token(), RandomPasswordState { args: args.clone(), value: args.generate()? }))
    }

    async fn read(
        _: &Local,
        cx: &Context,
        id: &str,
        prior: Option<&RandomPasswordState>,
    ) -> Result<Option<RandomPasswordState>, Error> {
        if let Some(prior) = prior {
            return Ok(Some(prior.clone()));
        }
        let Some(seen) = disk::read_file(cx, id).await? else { return Ok(None) };
        let text = seen.secret_text(id)?;
        let value = text.reveal().trim_end_matches(['\r', '\n']);
        let has = |class: &str| value.contains(|c| class.contains(c));
        let is_special = |c: char| !c.is_ascii_alphanumeric();
        let args = RandomPasswordArgs {
            length: value.chars().count() as u32,
            lower: has(LOWER),
            upper: has(UPPER),
            digits: has(DIGITS),
            special: value.contains(is_special),
            special_characters: "!#$%&*()-_=+[]{}<>:?".into(),
            min_lower: 1,
            min_upper: 1,
            min_digits: 1,
            min_special: 1,
            keepers: BTreeMap::new(),
        };
        Ok(Some(RandomPasswordState { args, value: Secret::new(value.to_owned()) }))
    }

    async fn update(
        _: &Local,
        _: &Context,
        _: &str,
        prior: &RandomPasswordState,
        args: &RandomPasswordArgs,
    ) -> Result<RandomPasswordState, Error> {
        Ok(RandomPasswordState { args: args.clone(), ..prior.clone() })
    }

    async fn delete(_: &Local, _: &Context, _: &str, _: &RandomPasswordState) -> Result<(), Error> {
        Ok(())
    }

    fn validate(args: &RandomPasswordArgs) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(1..=4096).contains(&args.length) {
            problems.push(Problem::new("length", format!("{} characters: ask for 1 to 4096", args.length)));
        }
        if args.special && args.special_characters.is_empty() {
            problems.push(Problem::new("special_characters", "there are none: name some, or set `special(false)`"));
        }
        let classes = args.classes();
        if classes.is_empty() {
            problems.push(Problem::new("lower", "no class of characters is left: allow at least one"));
        }
        let least: u64 = classes.iter().map(|(_, least)| *least as u64).sum();
        if least > u64::from(args.length) {
            problems.push(Problem::new(
                "length",
                format!("{} characters do not hold the {least} that the least counts ask for", args.length),
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::testing::{args, context};

    async fn value(draft: RandomPassword) -> String {
        let cx = context(".".as_ref());
        RandomPassword::create(&Local::new(), &cx, &args(draft)).await.unwrap().state.value.reveal().clone()
    }

    #[tokio::test]
    async fn every_class_occurs_as_often_as_asked() {
        for _ in 0..50 {
            let value = value(RandomPassword::new(8).min_digits(3).special_characters("§!")).await;
            assert_eq!(value.chars().count(), 8);
            assert!(value.chars().filter(char::is_ascii_digit).count() >= 3, "{value}");
            assert!(value.contains(['§', '!']), "{value}");
            assert!(value.contains(|c: char| c.is_ascii_lowercase()), "{value}");
            assert!(value.contains(|c: char| c.is_ascii_uppercase()), "{value}");
        }
    }

    #[tokio::test]
    async fn a_class_that_is_off_does_not_occur() {
        let value = value(RandomPassword::new(200).special(false).upper(false)).await;
        assert!(value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{value}");
    }

    #[tokio::test]
    async fn two_passwords_differ() {
        assert_ne!(value(RandomPassword::new(32)).await, value(RandomPassword::new(32)).await);
    }

    #[test]
    fn impossible_wishes_are_problems_of_their_fields() {
        let fields = |draft| RandomPassword::validate(&args(draft)).iter().map(|p| p.field).collect::<Vec<_>>();
        assert_eq!(fields(RandomPassword::new(3)), ["length"]);
        assert_eq!(fields(RandomPassword::new(8).special_characters("")), ["special_characters"]);
        assert_eq!(fields(RandomPassword::new(8).lower(false).upper(false).digits(false).special(false)), ["lower"]);
        assert!(fields(RandomPassword::new(4)).is_empty());
    }

    #[tokio::test]
    async fn a_password_is_imported_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("old"), "Abc-123\n").unwrap();
        let (local, cx) = (Local::new(), context(dir.path()));
        let state = RandomPassword::read(&local, &cx, "old", None).await.unwrap().unwrap();
        assert_eq!((state.length, state.value.reveal().as_str()), (7, "Abc-123"));
        assert!(!format!("{state:?}").contains("Abc-123"));
        assert!(RandomPassword::read(&local, &cx, "missing", None).await.unwrap().is_none());
    }
}
