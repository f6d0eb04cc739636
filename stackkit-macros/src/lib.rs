//! The macros of StackKit: `#[resource]`, `#[lookup]`, `#[derive(Properties)]`, `#[main]`, `#[program]`, `#[test]`, `cidr!`,
//! `text!` and `json!`. Only this file touches `proc_macro`; use them through the `stackkit` crate, which re-exports all of them.

mod args;
mod cidr;
mod errors;
mod json;
mod names;
mod program;
mod properties;
mod resource;
mod text;
mod types;

use proc_macro::TokenStream;

/// Makes a resource type of a struct with named fields.
///
/// `#[resource("acme:dns:Record")]` on `struct Record { … }` makes
///
/// - `Record`, the draft that programs fill: `Record::new(…)` takes the required inputs in their order, and one chain
///   method sets each optional input. Literals, `&other.output` and values computed from outputs all fit;
/// - `RecordArgs`, the resolved inputs that a provider gets;
/// - `RecordState`, inputs and outputs, which a provider returns and a test asserts; it dereferences to `RecordArgs`;
/// - `RecordOutputs`, one `Output<T>` a field: what the handle that `stack.add` returns dereferences to. A `name` or
///   `computed` field of type `Option<T>` is an `Output<T>`, for once the resource is there it has a value.
///
/// Options of the type, after its name:
///
/// | Option | Meaning |
/// |---|---|
/// | `stateful` | it holds data: protected from deletion and replacement unless the program says otherwise |
/// | `immutable` | a change of any input forces a replacement |
/// | `delete_before_replace` | a replacement deletes the old instance first |
/// | `pure` | it has no effect outside the state |
/// | `at_least_once` | a create that was cut short may only be repeated after a person said so |
/// | `version = 2` | version of the fields, for `Managed::upgrade`; 1 unless given |
/// | `settle = 30` | seconds after a request during which the absence of its effect proves nothing; 0 unless given |
/// | `create_timeout = "40m"`, `update_timeout = …`, `delete_timeout = …` | how long such a call may take where the program says nothing: a whole number with `s`, `m` or `h`; 30 minutes unless given |
/// | `crate = "path"` | where `stackkit` is; `::stackkit` unless given |
///
/// Options of a field, in `#[resource(…)]` on it:
///
/// | Option | Meaning |
/// |---|---|
/// | `output` | the provider gives it |
/// | `volatile` | an output that an update in place may change |
/// | `replace` | a change of this input forces a replacement |
/// | `name` | the physical name, made up by the engine when it is unset; `String` or `Option<String>` |
/// | `default = …` | the value of the input when it is unset |
/// | `computed` | an `Option` input for which the cloud chooses a value when it is unset |
/// | `write_only` | an input that the API never returns. A secret one is not kept: the state has a digest, by which a change is told |
/// | `not_secret` | the field is named like a secret and is none |
///
/// An input of type `Option<…>`, with a default or with `name` is optional; every other one is required. A field named
/// like a secret (`password`, `token`, `private_key`, …) whose type holds no `Secret<…>` is an error.
///
/// Traits in a `#[derive(…)]` below the attribute are derived for `…Args` and `…State`.
#[proc_macro_attribute]
pub fn resource(args: TokenStream, item: TokenStream) -> TokenStream {
    resource::expand(args.into(), item.into(), resource::Kind::Resource).into()
}

/// Makes a question that a provider answers of a struct with named fields.
///
/// `#[lookup("acme:dns:Zones")]` on `struct Zones { … }` makes
///
/// - `Zones`, the draft that programs fill: `Zones::new(…)` takes the required inputs, and one chain method sets each
///   optional one;
/// - `ZonesArgs`, the resolved inputs that the provider gets;
/// - `ZonesState`, inputs and outputs: what `Lookup::look_up` returns, and what `stack.lookup(…).await?` gives;
/// - `ZonesOutputs`, one `Output<T>` a field: what `stack.data("name", …)` dereferences to.
///
/// Options of a field, in `#[lookup(…)]` on it: `output` (the provider gives it), `default = …`, `not_secret`. The type
/// takes `crate = "path"`. The rule for names that read like secrets is that of [`macro@resource`].
#[proc_macro_attribute]
pub fn lookup(args: TokenStream, item: TokenStream) -> TokenStream {
    resource::expand(args.into(), item.into(), resource::Kind::Lookup).into()
}

/// Makes a struct or an enum of texts usable as the type of a field.
///
/// A struct stays what it is. It gains `new`, which takes the required fields and returns a builder with one chain
/// method for each optional field; the builder fits wherever the struct is wanted as an input, and its fields accept
/// outputs. Options of a field, in `#[property(…)]`: `default = …`, `rename = "…"`, `not_secret`.
///
/// An enum of plain variants becomes text: `GeneralPurpose` is `general-purpose`. `#[property(rename_all = "…")]` on
/// the enum takes `kebab-case`, `snake_case`, `SCREAMING_SNAKE_CASE`, `lowercase` or `PascalCase`;
/// `#[property(rename = "…")]` on a variant names one. Both kinds of types take `#[property(crate = "path")]`.
#[proc_macro_derive(Properties, attributes(property))]
pub fn properties(item: TokenStream) -> TokenStream {
    properties::expand(item.into()).into()
}

/// Makes an `async fn(stack: &mut Stack) -> Result<()>` the program of a binary.
///
/// It emits `fn orders() -> Program` in the function's place, so that tests can say `Test::of(orders)`, and `fn main`.
/// `providers(Aws, Kubernetes)` names the providers that are linked; the local one always is. `name = "…"` names the
/// program; unless given, it has the name of the package.
///
/// `backends(S3State, Postgres)` names the kinds of places that its state may be kept in, besides folders;
/// `backend = "s3://…"` is the one where neither the command line nor the stack's file names another.
///
/// `keys(Age, Kms, Transit)` names the kinds of keys that may open its stacks, besides key files and passphrases.
///
/// `crate = "path"` says where `stackkit` is; `::stackkit` unless given.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    program::expand(args.into(), item.into(), program::Entry::Main).into()
}

/// [`macro@main`] without `fn main`: for libraries, tests and programs that embed the engine.
#[proc_macro_attribute]
pub fn program(args: TokenStream, item: TokenStream) -> TokenStream {
    program::expand(args.into(), item.into(), program::Entry::None).into()
}

/// Makes an `async fn` a test that runs on a runtime of its own. It takes `crate = "path"`.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    program::expand_test(args.into(), item.into()).into()
}

/// An address block, checked when the program is compiled: `cidr!("10.0.0.0/16")`, `cidr!("fd00::/8")`.
#[proc_macro]
pub fn cidr(tokens: TokenStream) -> TokenStream {
    cidr::expand(tokens.into()).into()
}

/// Text with outputs in it: `text!("postgres://app:{}@{}/orders", password.value, db.endpoint)`.
///
/// `{}` takes the next argument, `{name}` a variable; `{{` and `}}` are braces. Parts are outputs, strings, numbers and
/// secrets. The result is an `Output<String>`, or an `Output<Secret<String>>` where any part is secret.
#[proc_macro]
pub fn text(tokens: TokenStream) -> TokenStream {
    text::expand(tokens.into()).into()
}

/// A JSON document with outputs in it, for policies and the like:
/// `json!({"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": bucket.arn}]})`.
///
/// Values are `null`, objects, arrays, and expressions: outputs, strings, numbers, truth values and secrets, each
/// encoded as what it is; another document becomes text in it. The result is an `Output<Json>`, or an
/// `Output<Secret<Json>>` where any part is secret.
#[proc_macro]
pub fn json(tokens: TokenStream) -> TokenStream {
    json::expand(tokens.into()).into()
}
