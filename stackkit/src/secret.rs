//! `Secret<T>`: a value that cannot be printed or serialised and is wiped when dropped.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretBox};
use zeroize::Zeroize;

use crate::property::Property;

/// A value that is never shown and never stored in plain text.
///
/// It has no `Display`, no `Serialize` and a `Debug` that says `[secret]`. The only way to its
/// content is [`Secret::reveal`], a name that can be searched for.
///
/// ```compile_fail
/// let secret = stackkit::Secret::new(String::from("x"));
/// println!("{secret}");
/// ```
///
/// ```compile_fail
/// fn serialise<T: serde::Serialize>(_: T) {}
/// serialise(stackkit::Secret::new(String::from("x")));
/// ```
pub struct Secret<T: Property>(Arc<SecretBox<Wiped<T>>>);

struct Wiped<T: Property>(T);

impl<T: Property> Zeroize for Wiped<T> {
    fn zeroize(&mut self) {
        self.0.wipe();
    }
}

impl<T: Property> Secret<T> {
    /// Marks a value secret.
    pub fn new(value: T) -> Self {
        Self(Arc::new(SecretBox::new(Box::new(Wiped(value)))))
    }

    /// The plain value. Keep it out of messages, arguments of processes and files.
    pub fn reveal(&self) -> &T {
        &self.0.expose_secret().0
    }
}

impl<T: Property> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Property> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<T: Property + PartialEq> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.reveal() == other.reveal()
    }
}

impl<T: Property> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}
