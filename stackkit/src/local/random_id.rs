//! `RandomId`: random bytes that stay the same for as long as their keepers do.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Local, random};
use crate::context::Context;
use crate::error::Error;
use crate::resource::{Created, Managed, Problem};
use stackkit_macros::resource;

/// A random id, such as the unique part of a name. It is not secret: for secrets there is
/// [`RandomPassword`](super::RandomPassword).
///
/// It can be imported by its hexadecimal form.
#[resource("local:RandomId", pure, immutable)]
pub struct RandomId {
    /// Number of random bytes, 1 to 1024.
    pub byte_length: u32,
    /// Any values; when one of them changes, a new id is made.
    #[resource(default = BTreeMap::<String, String>::new())]
    pub keepers: BTreeMap<String, String>,
    /// The bytes in lower-case hexadecimal.
    #[resource(output)]
    pub hex: String,
    /// The bytes in the URL-safe alphabet of Base64, without padding.
    #[resource(output)]
    pub base64url: String,
}

impl RandomIdState {
    fn of(args: RandomIdArgs, bytes: &[u8]) -> Self {
        Self { args, hex: to_hex(bytes), base64url: URL_SAFE_NO_PAD.encode(bytes) }
    }
}

impl Managed for RandomId {
    type Provider = Local;

    async fn create(_: &Local, _: &Context, args: &RandomIdArgs) -> Result<Created<Self>, Error> {
        let state = RandomIdState::of(args.clone(), &random::bytes(args.byte_length as usize)?);
        Ok(Created::new(state.hex.clone(), state))
    }

    async fn read(
        _: &Local,
        _: &Context,
        id: &str,
        prior: Option<&RandomIdState>,
    ) -> Result<Option<RandomIdState>, Error> {
        if let Some(prior) = prior {
            return Ok(Some(prior.clone()));
        }
        let bytes = from_hex(id).ok_or_else(|| {
            Error::invalid(format!(
                "`{}` is not a random id: expected hexadecimal digits, two a byte",
                id.escape_debug()
            ))
        })?;
        let args = RandomIdArgs { byte_length: bytes.len() as u32, keepers: BTreeMap::new() };
        Ok(Some(RandomIdState::of(args, &bytes)))
    }

    async fn update(
        _: &Local,
        _: &Context,
        _: &str,
        prior: &RandomIdState,
        args: &RandomIdArgs,
    ) -> Result<RandomIdState, Error> {
        Ok(RandomIdState { args: args.clone(), ..prior.clone() })
    }

    async fn delete(_: &Local, _: &Context, _: &str, _: &RandomIdState) -> Result<(), Error> {
        Ok(())
    }

    fn validate(args: &RandomIdArgs) -> Vec<Problem> {
        if (1..=1024).contains(&args.byte_length) {
            return Vec::new();
        }
        vec![Problem::new("byte_length", format!("{} bytes cannot be had: ask for 1 to 1024", args.byte_length))]
    }
}

/// Lower-case hexadecimal.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<_>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    (rest.is_empty() && !pairs.is_empty()).then(|| pairs.iter().map(|[high, low]| (high * 16 + low) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::testing::{args, context};

    #[tokio::test]
    async fn an_id_has_its_length_and_both_forms_agree() {
        let (local, cx) = (Local::new(), context(".".as_ref()));
        let made = RandomId::create(&local, &cx, &args(RandomId::new(6))).await.unwrap();
        assert_eq!((made.id.len(), made.state.base64url.len()), (12, 8));
        assert_eq!(URL_SAFE_NO_PAD.decode(&made.state.base64url).unwrap(), from_hex(&made.state.hex).unwrap());
        let other = RandomId::create(&local, &cx, &args(RandomId::new(6))).await.unwrap();
        assert_ne!(made.id, other.id);
        let again = RandomId::read(&local, &cx, &made.id, Some(&made.state)).await.unwrap().unwrap();
        assert_eq!(again.hex, made.state.hex);
    }

    #[tokio::test]
    async fn an_id_is_imported_by_its_hexadecimal_form() {
        let (local, cx) = (Local::new(), context(".".as_ref()));
        let state = RandomId::read(&local, &cx, "00ff10", None).await.unwrap().unwrap();
        assert_eq!((state.byte_length, state.base64url.as_str()), (3, "AP8Q"));
        let error = RandomId::read(&local, &cx, "00f", None).await.unwrap_err();
        assert_eq!(error.message(), "`00f` is not a random id: expected hexadecimal digits, two a byte");
    }

    #[test]
    fn a_length_out_of_range_is_a_problem_of_its_field() {
        assert_eq!(RandomId::validate(&args(RandomId::new(0)))[0].field, "byte_length");
        assert!(RandomId::validate(&args(RandomId::new(16))).is_empty());
    }
}
