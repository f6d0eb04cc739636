//! `Output<T>`: a typed reference to what a resource will have, and the ways to compute with it.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::ephemeral::Ephemeral;
use crate::property::{Mark, Open, Plain, Property};
use crate::secret::Secret;
use crate::types::Json;
use crate::value::{Computed, Expr, Value};

/// A value that a resource will have. It is a reference, not a future: programs combine outputs, and the engine
/// resolves them when the resources are there.
pub struct Output<T>(Value, PhantomData<fn() -> T>);

impl<T> Clone for Output<T> {
    fn clone(&self) -> Self {
        Self::erased(self.0.clone())
    }
}

impl<T: Property> std::fmt::Debug for Output<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output<{}>", T::type_name())
    }
}

impl<T> Output<T> {
    pub(crate) fn erased(tree: Value) -> Self {
        Self(tree, PhantomData)
    }

    /// A reference to a field of a declared resource, both by index. Called by what `#[resource]` generates.
    #[doc(hidden)]
    pub fn of_field(resource: u32, field: u16) -> Self {
        Self::erased(Value::Expr(Expr::Attr { resource, field }))
    }
}

impl<T: Property> Output<T> {
    /// An output that is known already.
    pub fn known(value: T) -> Self {
        Self::erased(value.to_value())
    }

    pub(crate) fn into_tree(self) -> Value {
        self.0
    }

    pub(crate) fn tree(&self) -> &Value {
        &self.0
    }

    #[track_caller]
    fn computed<U: Property>(
        inputs: Vec<Value>,
        run: impl Fn(Vec<Value>) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Output<U> {
        Output::erased(Value::Expr(Expr::Computed(Arc::new(Computed {
            inputs,
            secret: <U::Mark as Mark>::SECRET,
            at: Location::caller(),
            run: Box::new(run),
        }))))
    }

    /// A value computed from this one by a pure closure. The result is secret when this value is, and ephemeral when it is.
    ///
    /// The closure runs once the value is known; in a preview it may not run at all.
    #[track_caller]
    pub fn map<U: Property>(&self, f: impl Fn(T) -> U + Send + Sync + 'static) -> Output<<T::Mark as Mark>::Of<U>> {
        self.try_map(move |value| Ok::<U, std::convert::Infallible>(f(value)))
    }

    /// [`Output::map`] for a closure that can fail. The failure is reported with the place of the call.
    #[track_caller]
    pub fn try_map<U: Property, E: std::fmt::Display>(
        &self,
        f: impl Fn(T) -> Result<U, E> + Send + Sync + 'static,
    ) -> Output<<T::Mark as Mark>::Of<U>> {
        Self::computed(vec![self.0.clone()], move |inputs| {
            let value = T::from_value(inputs.first().unwrap_or(&Value::Null)).map_err(|e| e.to_string())?;
            let result = f(value).map_err(|e| e.to_string())?.to_value();
            Ok(T::Mark::conceal::<U>(result))
        })
    }

    /// This value and another one, together.
    #[track_caller]
    pub fn zip<U: Property>(&self, other: &Output<U>) -> Output<(T, U)> {
        join((self, other))
    }

    /// The value of one output out of many of the same type.
    #[track_caller]
    pub fn all<'a>(outputs: impl IntoIterator<Item = &'a Output<T>>) -> Output<Vec<T>> {
        Output::erased(Value::List(outputs.into_iter().map(|output| output.0.clone()).collect()))
    }
}

impl<T: Property> Output<Secret<T>> {
    /// Takes the secret mark off. The reason stands in the program for whoever reviews it.
    #[track_caller]
    pub fn declassify(&self, reason: &str) -> Output<T> {
        let _ = reason;
        Output::<T>::computed(vec![self.0.clone()], |mut inputs| Ok(inputs.pop().unwrap_or_default().reveal().clone()))
    }
}

/// A tuple of references to outputs; see [`join`].
pub trait Join {
    /// The tuple of values.
    type Joined: Property;
    /// The erased list.
    fn trees(self) -> Vec<Value>;
}

macro_rules! joins {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Property),+> Join for ($(&Output<$name>,)+) {
            type Joined = ($($name,)+);
            fn trees(self) -> Vec<Value> {
                vec![$(self.$index.0.clone()),+]
            }
        }
    };
}
joins!(A 0, B 1);
joins!(A 0, B 1, C 2);
joins!(A 0, B 1, C 2, D 3);
joins!(A 0, B 1, C 2, D 3, E 4);
joins!(A 0, B 1, C 2, D 3, E 4, F 5);

/// Several outputs as one: `join((&a, &b, &c)).map(|(a, b, c)| …)`.
#[track_caller]
pub fn join<J: Join>(outputs: J) -> Output<J::Joined> {
    Output::erased(Value::List(outputs.trees()))
}

/// A part of a `text!`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in a `text!`",
    label = "expected an output, a string, a number or a secret"
)]
pub trait TextPart {
    /// Whether the part is secret.
    type Mark: Mark;
    /// The erased part.
    fn part(&self) -> Value;
}
impl<T: Property> TextPart for Output<T> {
    type Mark = T::Mark;
    fn part(&self) -> Value {
        self.0.clone()
    }
}
impl<T: Property> TextPart for Secret<T> {
    type Mark = crate::property::Hush;
    fn part(&self) -> Value {
        self.to_value()
    }
}
impl<T: Property> TextPart for Ephemeral<T> {
    type Mark = crate::property::Fleeting;
    fn part(&self) -> Value {
        self.to_value()
    }
}
impl<T: Plain> TextPart for T {
    type Mark = T::Mark;
    fn part(&self) -> Value {
        self.to_value()
    }
}
impl TextPart for str {
    type Mark = Open;
    fn part(&self) -> Value {
        Value::text(self)
    }
}
impl TextPart for &str {
    type Mark = Open;
    fn part(&self) -> Value {
        Value::text(*self)
    }
}
impl TextPart for &String {
    type Mark = Open;
    fn part(&self) -> Value {
        Value::text(self.as_str())
    }
}
impl<T: Property> TextPart for &Output<T> {
    type Mark = T::Mark;
    fn part(&self) -> Value {
        self.0.clone()
    }
}

/// The parts of a `text!`, as nested pairs that end in `()`.
pub trait TextParts {
    /// The strongest mark of all parts.
    type Mark: Mark;
    /// Appends the erased parts in order.
    fn parts(&self, into: &mut Vec<Value>);
}
impl TextParts for () {
    type Mark = Open;
    fn parts(&self, _: &mut Vec<Value>) {}
}
impl<A: TextPart + ?Sized, B: TextParts> TextParts for (&A, B) {
    type Mark = <A::Mark as Mark>::Or<B::Mark>;
    fn parts(&self, into: &mut Vec<Value>) {
        into.push(self.0.part());
        self.1.parts(into);
    }
}

/// What `text!` expands to: literals around parts, `literals.len() == parts + 1`.
#[doc(hidden)]
#[track_caller]
pub fn text<P: TextParts>(literals: &'static [&'static str], parts: P) -> Output<<P::Mark as Mark>::Of<String>> {
    let mut inputs = Vec::new();
    parts.parts(&mut inputs);
    Output::<String>::computed(inputs, move |inputs| {
        let mut out = String::new();
        for (at, literal) in literals.iter().enumerate() {
            out.push_str(literal);
            if let Some(input) = inputs.get(at) {
                push_text(input.reveal(), &mut out)?;
            }
        }
        Ok(P::Mark::conceal::<String>(Value::Text(out)))
    })
}

/// What `json!` expands to: pieces of a document around parts, `pieces.len() == parts + 1`.
#[doc(hidden)]
#[track_caller]
pub fn json<P: TextParts>(pieces: &'static [&'static str], parts: P) -> Output<<P::Mark as Mark>::Of<Json>> {
    let mut inputs = Vec::new();
    parts.parts(&mut inputs);
    Output::<Json>::computed(inputs, move |inputs| {
        let mut out = String::new();
        for (at, piece) in pieces.iter().enumerate() {
            out.push_str(piece);
            if let Some(input) = inputs.get(at) {
                out.push_str(&document(input)?.to_string());
            }
        }
        Ok(P::Mark::conceal::<Json>(Value::Text(out)))
    })
}

fn document(value: &Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(n) => (*n).into(),
        Value::UInt(n) => (*n).into(),
        Value::Float(n) => {
            serde_json::Number::from_f64(*n).ok_or("a number without a value cannot stand in JSON")?.into()
        }
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(document).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Map(map) => serde_json::Value::Object(
            map.iter().map(|(key, item)| Ok((key.clone(), document(item)?))).collect::<Result<_, String>>()?,
        ),
        Value::Secret(secret) => document(secret.reveal())?,
        Value::Digest(_) | Value::Expr(_) | Value::Unknown { .. } => return Err("a part is not known".into()),
    })
}

fn push_text(value: &Value, out: &mut String) -> Result<(), String> {
    match value {
        Value::Null => {}
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => out.push_str(&n.to_string()),
        Value::UInt(n) => out.push_str(&n.to_string()),
        Value::Float(n) => out.push_str(&n.to_string()),
        Value::Text(text) => out.push_str(text),
        Value::Secret(secret) => push_text(secret.reveal(), out)?,
        Value::List(_) | Value::Map(_) => {
            return Err("a list or map cannot stand in a `text!`: `.map(…)` it to text first".into());
        }
        Value::Digest(_) | Value::Expr(_) | Value::Unknown { .. } => return Err("a part is not known".into()),
    }
    Ok(())
}
