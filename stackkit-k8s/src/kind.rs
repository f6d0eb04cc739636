//! `kind!`: an object that the API server keeps, as a resource. All kinds share one implementation; a kind itself is data.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use stackkit::Value;
use stackkit::property::{DecodeError, Property};
use stackkit::resource::{Fields, Resource, Values};
use stackkit::schema::Role;

use crate::shape::Slot;

/// What the provider has to know of a kind.
#[doc(hidden)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version of the group.
    pub version: &'static str,
    /// The kind's name.
    pub kind: &'static str,
    /// Its name in URLs.
    pub plural: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Index of the field `labels`; `annotations` follows.
    pub labels: usize,
    /// Its own inputs, by index in the schema.
    pub inputs: &'static [(usize, Slot)],
    /// Index of the output `uid`; `admitted` follows.
    pub uid: usize,
    /// Its own outputs: index in the schema, and the path in the live object.
    pub outputs: &'static [(usize, &'static str)],
    /// Whether its objects say themselves what they are: see [`crate::Manifest`].
    pub dynamic: bool,
}

/// Index of the field `name`, in every kind.
pub(crate) const NAME: usize = 0;
/// Index of the field `namespace`, in kinds that live in one.
pub(crate) const NAMESPACE: usize = 1;

impl Kind {
    /// `apps/v1`, or `v1` for the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Index of `annotations`.
    pub(crate) fn annotations(&self) -> usize {
        self.labels + 1
    }

    /// Index of `admitted`.
    pub(crate) fn admitted(&self) -> usize {
        self.uid + 1
    }

    /// Number of fields.
    pub(crate) fn width(&self) -> usize {
        self.admitted() + 1 + self.outputs.len()
    }
}

/// A resource that is a Kubernetes object.
pub trait Object: Resource<Args = ObjectArgs<Self>, State = ObjectState<Self>> {
    /// What the provider has to know of it.
    #[doc(hidden)]
    const KIND: &'static Kind;
}

/// The resolved inputs of an object of kind `K`.
pub struct ObjectArgs<K: Object>(Values, PhantomData<fn() -> K>);

/// Inputs and outputs of an object of kind `K`.
pub struct ObjectState<K: Object>(ObjectArgs<K>);

impl<K: Object> ObjectArgs<K> {
    pub(crate) fn erased(values: Values) -> Self {
        Self(values, PhantomData)
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.0
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        self.0.get(NAME).and_then(Value::as_text).unwrap_or_default()
    }

    /// The namespace that it lives in, if its kind lives in one and it is known.
    pub fn namespace(&self) -> Option<&str> {
        if K::KIND.namespaced { self.0.get(NAMESPACE).and_then(Value::as_text) } else { None }
    }

    /// The value at a path of names as they are on the wire, such as `spec.replicas` or `data.config`, where it is set
    /// and has that type. Items of lists are named by their position: `spec.template.spec.containers.0.image`. A key with
    /// dots in it can be the last one: `data.app.properties`.
    pub fn get<T: Property>(&self, path: &str) -> Option<T> {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let index = match first {
            "labels" => K::KIND.labels,
            "annotations" => K::KIND.annotations(),
            wire => K::KIND.inputs.iter().find(|(_, slot)| slot.wire == wire)?.0,
        };
        let found = within(self.0.get(index)?, rest)?;
        T::from_value(found).ok()
    }
}

fn within<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(value);
    }
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match value {
        Value::Map(map) => map.get(path).or_else(|| within(map.get(first)?, rest)),
        Value::List(items) => within(items.get(first.parse::<usize>().ok()?)?, rest),
        _ => None,
    }
}

impl<K: Object> ObjectState<K> {
    pub(crate) fn erased(values: Values) -> Self {
        Self(ObjectArgs::erased(values))
    }

    /// The uid that the API server gave it.
    pub fn uid(&self) -> Option<&str> {
        self.0.0.get(K::KIND.uid).and_then(Value::as_text)
    }

    /// An output by its name in the schema, such as `cluster_ip` of a Service.
    pub fn output<T: Property>(&self, name: &str) -> Option<T> {
        T::from_value(self.0.0.get(K::SCHEMA.index(name)?)?).ok()
    }
}

impl<K: Object> Deref for ObjectState<K> {
    type Target = ObjectArgs<K>;
    fn deref(&self) -> &ObjectArgs<K> {
        &self.0
    }
}

impl<K: Object> Clone for ObjectArgs<K> {
    fn clone(&self) -> Self {
        Self::erased(self.0.clone())
    }
}
impl<K: Object> Clone for ObjectState<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
impl<K: Object> fmt::Debug for ObjectArgs<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = K::SCHEMA.fields.iter().zip(&self.0).filter(|(_, value)| !value.is_null());
        f.debug_map().entries(set.map(|(field, value)| (field.name, value))).finish()
    }
}
impl<K: Object> fmt::Debug for ObjectState<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn read<K: Object>(values: &[Value]) -> Result<Values, DecodeError> {
    let mut values = values.to_vec();
    values.resize(K::KIND.width(), Value::Null);
    for (field, value) in K::SCHEMA.fields.iter().zip(&values) {
        if field.role == Role::Input {
            (field.ty.check)(value).map_err(|error| error.inside(field.name))?;
        }
    }
    Ok(values)
}

impl<K: Object> Fields for ObjectArgs<K> {
    fn from_values(values: &[Value]) -> Result<Self, DecodeError> {
        read::<K>(values).map(Self::erased)
    }
    fn to_values(&self) -> Values {
        self.0.clone()
    }
}
impl<K: Object> Fields for ObjectState<K> {
    fn from_values(values: &[Value]) -> Result<Self, DecodeError> {
        read::<K>(values).map(Self::erased)
    }
    fn to_values(&self) -> Values {
        self.0.0.clone()
    }
}

/// One kind: its draft, its outputs, its schema, and its calls, which all go to [`crate::object`].
macro_rules! kind {
    (
        $(#[doc = $doc:literal])* $name:ident $outputs:ident
        $type_name:literal $group:literal $version:literal $plural:literal
        stateful $stateful:literal named $named:ident
        name { $($required:ident)? $(: $optional:ident)? }
        namespace { $($namespace:ident $ni:literal)? }
        meta { $labels:literal $annotations:literal }
        new { $($(#[doc = $nd:literal])* $new:ident $nn:literal $nw:literal: $nt:ty $(=> $nm:ident $(($($nk:literal),*))?)?;)* }
        optional { $($(#[doc = $od:literal])* $opt:ident $on:literal $ow:literal: $ot:ty $(=> $om:ident $(($($ok:literal),*))?)?;)* }
        own { $uid:literal $admitted:literal }
        outputs { $($(#[doc = $xd:literal])* $out:ident $xn:literal $xp:literal: $xt:ty;)* }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        #[must_use = "it is nothing until it is added to a stack"]
        pub struct $name(::stackkit::resource::Values);

        impl $name {
            /// With what it cannot do without.
            #[allow(clippy::new_without_default, reason = "some have fields to give, and all read alike")]
            pub fn new(
                $($required: impl ::stackkit::IntoInput<String>,)?
                $($new: impl ::stackkit::IntoInput<$nt>),*
            ) -> Self {
                let draft = Self(vec![::stackkit::Value::Null; <Self as $crate::kind::Object>::KIND.width()]);
                $(let draft = draft.set(0, ::stackkit::IntoInput::<String>::into_value($required));)?
                $(let draft = draft.set($nn, ::stackkit::IntoInput::<$nt>::into_value($new));)*
                draft
            }
            fn set(mut self, index: usize, value: ::stackkit::Value) -> Self {
                if let Some(place) = self.0.get_mut(index) {
                    *place = value;
                }
                self
            }
            $(
                /// Its name. Unset, one is made that is free and stays the same.
                pub fn $optional(self, value: impl ::stackkit::IntoInput<Option<String>>) -> Self {
                    self.set(0, ::stackkit::IntoInput::<Option<String>>::into_value(value))
                }
            )?
            $(
                /// The namespace that it lives in. Unset, the provider's default.
                pub fn $namespace(self, value: impl ::stackkit::IntoInput<Option<String>>) -> Self {
                    self.set($ni, ::stackkit::IntoInput::<Option<String>>::into_value(value))
                }
            )?
            /// Labels of the object itself.
            pub fn labels(
                self,
                value: impl ::stackkit::IntoInput<Option<$crate::shape::Map<String>>>,
            ) -> Self {
                self.set($labels, ::stackkit::IntoInput::<Option<$crate::shape::Map<String>>>::into_value(value))
            }
            /// Annotations of the object itself.
            pub fn annotations(
                self,
                value: impl ::stackkit::IntoInput<Option<$crate::shape::Map<String>>>,
            ) -> Self {
                self.set($annotations, ::stackkit::IntoInput::<Option<$crate::shape::Map<String>>>::into_value(value))
            }
            $(
                $(#[doc = $od])*
                pub fn $opt(self, value: impl ::stackkit::IntoInput<Option<$ot>>) -> Self {
                    self.set($on, ::stackkit::IntoInput::<Option<$ot>>::into_value(value))
                }
            )*
        }

        #[doc = concat!("What a declared `", stringify!($name), "` will have.")]
        #[derive(Clone, Debug)]
        pub struct $outputs {
            /// Its name.
            pub name: ::stackkit::output::Output<String>,
            $(
                /// The namespace that it lives in.
                pub $namespace: ::stackkit::output::Output<String>,
            )?
            /// Labels, as declared.
            pub labels: ::stackkit::output::Output<Option<$crate::shape::Map<String>>>,
            /// Annotations, as declared.
            pub annotations: ::stackkit::output::Output<Option<$crate::shape::Map<String>>>,
            $($(#[doc = $nd])* pub $new: ::stackkit::output::Output<$nt>,)*
            $($(#[doc = $od])* pub $opt: ::stackkit::output::Output<Option<$ot>>,)*
            /// The uid that the API server gave it.
            pub uid: ::stackkit::output::Output<String>,
            $($(#[doc = $xd])* pub $out: ::stackkit::output::Output<$xt>,)*
        }

        impl ::stackkit::Resource for $name {
            type Args = $crate::kind::ObjectArgs<Self>;
            type State = $crate::kind::ObjectState<Self>;
            type Outputs = $outputs;
            const SCHEMA: &'static ::stackkit::schema::Schema = &::stackkit::schema::Schema {
                type_name: $type_name,
                docs: concat!($($doc),*),
                version: 1,
                stateful: $stateful,
                at_least_once: false,
                pure: false,
                delete_before_replace: false,
                settle: ::std::time::Duration::from_secs(2),
                create_timeout: ::std::option::Option::None,
                update_timeout: ::std::option::Option::None,
                delete_timeout: ::std::option::Option::None,
                fields: &[
                    $crate::kind::field!($name name "Its name." Option<String>, $named),
                    $($crate::kind::field!($name $namespace "The namespace that it lives in." Option<String>, namespace),)?
                    $crate::kind::field!($name labels "Labels of the object itself." Option<$crate::shape::Map<String>>, optional),
                    $crate::kind::field!($name annotations "Annotations of the object itself." Option<$crate::shape::Map<String>>, optional),
                    $($crate::kind::field!($name $new ($($nd)*) $nt, required),)*
                    $($crate::kind::field!($name $opt ($($od)*) Option<$ot>, optional),)*
                    $crate::kind::field!($name uid "The uid that the API server gave it." String, output),
                    $crate::kind::field!($name admitted "What admission made of it, where that is not what was applied." Option<$crate::shape::Map<String>>, output),
                    $($crate::kind::field!($name $out ($($xd)*) $xt, output),)*
                ],
            };
            fn into_values(self) -> ::stackkit::resource::Values {
                self.0
            }
            fn from_draft(values: ::stackkit::resource::Values) -> Self {
                Self(values)
            }
            fn outputs(resource: u32) -> $outputs {
                use ::stackkit::output::Output;
                $outputs {
                    name: Output::of_field(resource, 0),
                    $($namespace: Output::of_field(resource, $ni),)?
                    labels: Output::of_field(resource, $labels),
                    annotations: Output::of_field(resource, $annotations),
                    $($new: Output::of_field(resource, $nn),)*
                    $($opt: Output::of_field(resource, $on),)*
                    uid: Output::of_field(resource, $uid),
                    $($out: Output::of_field(resource, $xn),)*
                }
            }
        }

        impl $crate::kind::Object for $name {
            const KIND: &'static $crate::kind::Kind = &$crate::kind::Kind {
                group: $group,
                version: $version,
                kind: stringify!($name),
                plural: $plural,
                namespaced: $crate::kind::namespaced!($($namespace)?),
                labels: $labels,
                inputs: &[
                    $(($nn, $crate::mirror::slot!($nw, $nt $(, $nm $(($($nk),*))?)?)),)*
                    $(($on, $crate::mirror::slot!($ow, $ot $(, $om $(($($ok),*))?)?)),)*
                ],
                uid: $uid,
                outputs: &[$(($xn, $xp)),*],
                dynamic: $plural.is_empty(),
            };
        }

        $crate::kind::managed!($name);
    };
}
pub(crate) use kind;

macro_rules! namespaced {
    () => {
        false
    };
    ($namespace:ident) => {
        true
    };
}
pub(crate) use namespaced;

macro_rules! field {
    ($kind:ident $name:ident ($($docs:literal)*) $ty:ty, $role:ident) => {
        $crate::kind::field!($kind $name concat!($($docs),*), $ty, $role)
    };
    ($kind:ident $name:ident $docs:literal $ty:ty, $role:ident) => {
        $crate::kind::field!($kind $name $docs, $ty, $role)
    };
    ($kind:ident $name:ident $docs:expr, $ty:ty, true) => { $crate::kind::field!(@$name $docs, $ty, Input, true, true, true, false, false) };
    ($kind:ident $name:ident $docs:expr, $ty:ty, false) => { $crate::kind::field!(@$name $docs, $ty, Input, false, true, true, false, false) };
    ($kind:ident $name:ident $docs:expr, $ty:ty, namespace) => {
        $crate::kind::field!(@$name $docs, $ty, Input, false, true, false, true, false)
    };
    ($kind:ident $name:ident $docs:expr, $ty:ty, optional) => {
        $crate::kind::field!(@$name $docs, $ty, Input, false,
            $crate::replace::fixed(stringify!($kind), stringify!($name)), false, false, false)
    };
    ($kind:ident $name:ident $docs:expr, $ty:ty, required) => {
        $crate::kind::field!(@$name $docs, $ty, Input, true,
            $crate::replace::fixed(stringify!($kind), stringify!($name)), false, false, false)
    };
    ($kind:ident $name:ident $docs:expr, $ty:ty, output) => {
        $crate::kind::field!(@$name $docs, $ty, Output, false, false, false, false, true)
    };
    (@$name:ident $docs:expr, $ty:ty, $role:ident, $required:literal, $replace:expr, $mark:literal, $computed:literal,
        $volatile:literal) => {
        ::stackkit::schema::Field {
            name: stringify!($name),
            docs: $docs,
            role: ::stackkit::schema::Role::$role,
            required: $required,
            replace: $replace,
            name_mark: $mark,
            computed: $computed,
            write_only: false,
            volatile: $volatile,
            default: None,
            ty: ::stackkit::property::TypeInfo::of::<$ty>(),
        }
    };
}
pub(crate) use field;

macro_rules! managed {
    ($name:ident) => {
        impl ::stackkit::Managed for $name {
            type Provider = $crate::Kubernetes;
            async fn create(
                provider: &$crate::Kubernetes,
                cx: &::stackkit::Context,
                args: &$crate::kind::ObjectArgs<Self>,
            ) -> Result<::stackkit::Created<Self>, $crate::Error> {
                $crate::object::create::<Self>(provider, cx, args).await
            }
            async fn read(
                provider: &$crate::Kubernetes,
                cx: &::stackkit::Context,
                id: &str,
                prior: Option<&$crate::kind::ObjectState<Self>>,
            ) -> Result<Option<$crate::kind::ObjectState<Self>>, $crate::Error> {
                $crate::object::read::<Self>(provider, cx, id, prior).await
            }
            async fn claimed_by(
                provider: &$crate::Kubernetes,
                cx: &::stackkit::Context,
                id: &str,
                state: &$crate::kind::ObjectState<Self>,
            ) -> Result<Option<String>, $crate::Error> {
                $crate::object::claimed_by::<Self>(provider, cx, id, state).await
            }
            async fn update(
                provider: &$crate::Kubernetes,
                cx: &::stackkit::Context,
                id: &str,
                prior: &$crate::kind::ObjectState<Self>,
                args: &$crate::kind::ObjectArgs<Self>,
            ) -> Result<$crate::kind::ObjectState<Self>, $crate::Error> {
                $crate::object::update::<Self>(provider, cx, id, prior, args).await
            }
            async fn delete(
                provider: &$crate::Kubernetes,
                cx: &::stackkit::Context,
                id: &str,
                prior: &$crate::kind::ObjectState<Self>,
            ) -> Result<(), $crate::Error> {
                $crate::object::delete::<Self>(provider, cx, id, prior).await
            }
            async fn find(
                provider: &$crate::Kubernetes,
                cx: &::stackkit::Context,
                intent: &::stackkit::Intent<Self>,
            ) -> Result<::stackkit::Found<Self>, $crate::Error> {
                $crate::object::find::<Self>(provider, cx, intent).await
            }
            async fn is_name_free(
                provider: &$crate::Kubernetes,
                cx: &::stackkit::Context,
                args: &$crate::kind::ObjectArgs<Self>,
            ) -> Result<Option<bool>, $crate::Error> {
                $crate::object::is_name_free::<Self>(provider, cx, args).await
            }
            async fn read_many(
                provider: &$crate::Kubernetes,
                cx: &::stackkit::Context,
                items: &[(String, Option<$crate::kind::ObjectState<Self>>)],
            ) -> Vec<Result<Option<$crate::kind::ObjectState<Self>>, $crate::Error>> {
                $crate::object::read_many::<Self>(provider, cx, items).await
            }
            fn validate(args: &$crate::kind::ObjectArgs<Self>) -> Vec<::stackkit::resource::Problem> {
                $crate::validate::validate::<Self>(args)
            }
        }
    };
}
pub(crate) use managed;
