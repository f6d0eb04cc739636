//! `mirror!`: a struct of the Kubernetes API as a thin builder over an erased tree, whose setters take literals and
//! references alike.

/// One struct: the fields that `new` wants, those with a setter, and those that take a number or a name.
macro_rules! mirror {
    (
        $(#[$doc:meta])* $name:ident
        new { $($(#[$nd:meta])* $new:ident $nw:literal: $nt:ty $(=> $nm:ident $(($($nk:literal),*))?)?;)* }
        optional { $($(#[$od:meta])* $opt:ident $ow:literal: $ot:ty $(=> $om:ident $(($($ok:literal),*))?)?;)* }
        either { $($(#[$ed:meta])* $either:ident $ew:literal: $et:ty;)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name($crate::mirror::Tree);

        #[allow(clippy::should_implement_trait, reason = "fields are named as the API names them")]
        impl $name {
            /// With what it cannot do without.
            #[allow(clippy::new_without_default, reason = "some have fields to give, and all read alike")]
            pub fn new($($new: impl ::stackkit::IntoInput<$nt>),*) -> Self {
                let tree = $crate::mirror::Tree::default();
                $(let tree = tree.with($nw, ::stackkit::IntoInput::<$nt>::into_value($new));)*
                Self(tree)
            }
            $(
                $(#[$od])*
                #[must_use]
                pub fn $opt(self, value: impl ::stackkit::IntoInput<Option<$ot>>) -> Self {
                    Self(self.0.with($ow, ::stackkit::IntoInput::<Option<$ot>>::into_value(value)))
                }
            )*
            $(
                $(#[$ed])*
                #[must_use]
                pub fn $either(self, value: impl ::stackkit::IntoInput<$et>) -> Self {
                    Self(self.0.with($ew, ::stackkit::IntoInput::<$et>::into_value(value)))
                }
            )*
        }

        $crate::mirror::mirror_impls!($name);

        impl $crate::shape::Shape for $name {
            const TY: $crate::shape::Ty = $crate::shape::Ty::Struct(|| {
                static INFO: $crate::shape::Struct = $crate::shape::Struct {
                    name: stringify!($name),
                    fields: &[
                        $($crate::mirror::slot!($nw, $nt $(, $nm $(($($nk),*))?)?),)*
                        $($crate::mirror::slot!($ow, $ot $(, $om $(($($ok),*))?)?),)*
                        $($crate::mirror::slot!($ew, $et),)*
                    ],
                };
                &INFO
            });
        }
    };
}
pub(crate) use mirror;

macro_rules! slot {
    ($wire:literal, $ty:ty) => { $crate::mirror::slot!(@$wire, $ty, $crate::shape::Merge::Atomic) };
    ($wire:literal, $ty:ty, set) => { $crate::mirror::slot!(@$wire, $ty, $crate::shape::Merge::Set) };
    ($wire:literal, $ty:ty, keyed($($key:literal),*)) => {
        $crate::mirror::slot!(@$wire, $ty, $crate::shape::Merge::Keyed(&[$($key),*]))
    };
    (@$wire:literal, $ty:ty, $merge:expr) => {
        $crate::shape::Slot { wire: $wire, ty: <$ty as $crate::shape::Shape>::TY, merge: $merge }
    };
}
pub(crate) use slot;

macro_rules! mirror_impls {
    ($name:ident) => {
        impl ::stackkit::Property for $name {
            type Mark = ::stackkit::property::Open;
            type Hidden = ::stackkit::Secret<$name>;
            fn to_value(&self) -> ::stackkit::Value {
                self.0.value()
            }
            fn from_value(value: &::stackkit::Value) -> Result<Self, ::stackkit::property::DecodeError> {
                $crate::mirror::Tree::read(&<Self as $crate::shape::Shape>::TY, value).map(Self)
            }
            fn canonical(value: ::stackkit::Value) -> ::stackkit::Value {
                <Self as $crate::shape::Shape>::TY.canonical($crate::shape::Merge::Atomic, value)
            }
            fn type_name() -> String {
                stringify!($name).into()
            }
            fn replaces(before: &::stackkit::Value, after: &::stackkit::Value) -> bool {
                $crate::replace::replaces(stringify!($name), before, after)
            }
            fn sample(_: &::stackkit::property::Sampler) -> ::stackkit::Value {
                $crate::mirror::Tree::default().value()
            }
        }
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.0.fmt(f)
            }
        }
        impl ::stackkit::IntoInput<$name> for $name {
            fn into_value(self) -> ::stackkit::Value {
                self.0.into_value()
            }
        }
        impl ::stackkit::IntoInput<Option<$name>> for $name {
            fn into_value(self) -> ::stackkit::Value {
                self.0.into_value()
            }
        }
    };
}
pub(crate) use mirror_impls;

use std::collections::BTreeMap;
use std::fmt;

use stackkit::Value;
use stackkit::property::DecodeError;

use crate::shape::Ty;

/// The fields that were given, by their names on the wire.
#[derive(Clone, Default)]
#[doc(hidden)]
pub struct Tree(BTreeMap<String, Value>);

impl Tree {
    /// With one more field; nothing is not stored.
    pub(crate) fn with(mut self, wire: &str, value: Value) -> Self {
        if value.is_null() {
            self.0.remove(wire);
        } else {
            self.0.insert(wire.to_owned(), value);
        }
        self
    }

    pub(crate) fn value(&self) -> Value {
        Value::Map(self.0.clone())
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Map(self.0)
    }

    pub(crate) fn read(ty: &Ty, value: &Value) -> Result<Self, DecodeError> {
        ty.check(value)?;
        match value {
            Value::Map(map) => Ok(Self(map.clone())),
            other => Err(DecodeError::expected("an object", other)),
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}
