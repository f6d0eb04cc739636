//! `Manifest`: an object of any kind that the cluster serves, such as a custom resource; and how its kind is looked up.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value as Wire;
use stackkit::input::{FromItems, Item};
use stackkit::property::{Flows, FromText, Property};
use stackkit::{ErrorKind, IntoInput, Value};

use crate::Kubernetes;
use crate::body::{items_at, text_at};
use crate::client::{Call, escape};
use crate::error::{Answer, Error, Reason};
use crate::kind::{Kind, kind};
use crate::scalar::Json;

/// Index of `api_version` in a manifest.
pub(crate) const API_VERSION: usize = 4;
/// Index of `kind` in a manifest.
pub(crate) const KIND: usize = 5;
/// The name on the wire of a field that holds all of an object that has no field of its own.
pub(crate) const WHOLE: &str = "*";

kind! {
    /// An object of any kind: a custom resource, say. What it looks like is checked by the cluster alone; for the built-in
    /// kinds there are types.
    ///
    /// The body is what stands beside `apiVersion`, `kind` and `metadata`: `map!` and `list!` take literals and outputs.
    ///
    /// ```
    /// # use stackkit::prelude::*;
    /// # use stackkit_k8s::Manifest;
    /// # fn declare(stack: &mut Stack) {
    /// let body = map! { "spec" => map! { "secretName" => "web-tls", "dnsNames" => list!["shop.example"] } };
    /// stack.add("web", Manifest::new("cert-manager.io/v1", "Certificate", body).namespace("shop"));
    /// # }
    /// ```
    ///
    /// Its id, to import it by, is `Certificate.cert-manager.io/NAMESPACE/NAME`.
    Manifest ManifestOutputs
    "kubernetes:meta:Manifest" "" "" ""
    stateful false named false
    name { : name }
    namespace { namespace 1 }
    meta { 2 3 }
    new {
        /// Group and version, such as `cert-manager.io/v1`.
        api_version 4 "apiVersion": String;
        /// The kind.
        kind 5 "kind": String;
        /// Everything beside `apiVersion`, `kind` and `metadata`.
        body 6 "*": crate::Json;
    }
    optional { }
    own { 7 8 }
    outputs { }
}

impl Kind {
    /// The kind of an object of these fields: this one, or what a manifest says.
    ///
    /// # Errors
    /// When the cluster does not serve it, or cannot be asked.
    pub(crate) async fn of_fields(&'static self, k8s: &Kubernetes, values: &[Value]) -> Result<&'static Kind, Error> {
        if !self.dynamic {
            return Ok(self);
        }
        let text = |index: usize| values.get(index).and_then(Value::as_text).unwrap_or_default();
        let (group, version) = text(API_VERSION).rsplit_once('/').unwrap_or(("", text(API_VERSION)));
        self.resolve(k8s, group, Some(version), text(KIND)).await
    }

    /// The kind and the rest of an id. Manifests have ids such as `Certificate.cert-manager.io/shop/web`.
    ///
    /// # Errors
    /// As [`Kind::of_fields`], and when it is no such id.
    pub(crate) async fn of_id<'a>(
        &'static self,
        k8s: &Kubernetes,
        id: &'a str,
        prior: Option<&[Value]>,
    ) -> Result<(&'static Kind, &'a str), Error> {
        if !self.dynamic {
            return Ok((self, id));
        }
        let Some((what, rest)) = id.split_once('/') else {
            return Err(Error::Settings(format!(
                "`{}` is not the id of a manifest: it is KIND.GROUP/NAMESPACE/NAME, without the namespace where the kind has none",
                id.escape_debug()
            )));
        };
        let (kind, group) = what.split_once('.').unwrap_or((what, ""));
        let recorded = prior.and_then(|values| values.get(API_VERSION)).and_then(Value::as_text);
        let version =
            recorded.map(|api_version| api_version.rsplit_once('/').map_or(api_version, |(_, version)| version));
        Ok((self.resolve(k8s, group, version, kind).await?, rest))
    }

    /// Whether an error means that the kind of a manifest has gone since it was looked up, and its objects with it. It is
    /// looked up anew, for a path that is not served may have other reasons.
    pub(crate) async fn is_gone(
        &'static self,
        k8s: &Kubernetes,
        id: &str,
        prior: Option<&[Value]>,
        error: &Error,
    ) -> bool {
        if !self.dynamic || !not_served(error) {
            return false;
        }
        k8s.kinds.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        self.of_id(k8s, id, prior).await.is_err_and(|error| not_served(&error))
    }

    /// What stands before namespace and name in an id.
    pub(crate) fn id_prefix(&self) -> String {
        match (self.dynamic, self.group) {
            (false, _) => String::new(),
            (true, "") => format!("{}/", self.kind),
            (true, group) => format!("{}.{group}/", self.kind),
        }
    }

    async fn resolve(
        &'static self,
        k8s: &Kubernetes,
        group: &str,
        version: Option<&str>,
        kind: &str,
    ) -> Result<&'static Kind, Error> {
        let key = format!("{group}/{}/{kind}", version.unwrap_or_default());
        let lock = || k8s.kinds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return Ok(known);
        }
        let action = format!("look the kind {kind} up");
        let get = |path: String| k8s.api.call(Call { action: &action, method: Method::GET, path, body: None });
        let version = match version {
            Some(version) => version.to_owned(),
            None if group.is_empty() => "v1".into(),
            None => {
                let served = get(format!("/apis/{}", escape(group))).await?;
                text_at(&served, "preferredVersion.version").unwrap_or_default().to_owned()
            }
        };
        let path = if group.is_empty() {
            format!("/api/{}", escape(&version))
        } else {
            format!("/apis/{}/{}", escape(group), escape(&version))
        };
        let served = get(path).await?;
        let found = items_at(&served, "resources").iter().find(|resource| {
            text_at(resource, "kind") == Some(kind) && text_at(resource, "name").is_some_and(|name| !name.contains('/'))
        });
        let Some(found) = found else {
            let message = format!("the API server has no kind {kind} in {group}/{version}");
            let answer = Answer {
                code: 404,
                reason: Reason::NotServed,
                kind: ErrorKind::Transient,
                message: message.replace(" /", " "),
                retry_after: None,
                owned: Vec::new(),
            };
            return Err(Error::Refused { action, answer: Box::new(answer) });
        };
        // Kept for as long as the program runs, as the built-in ones are; there are as many as the program has kinds.
        let text = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let resolved: &'static Kind = Box::leak(Box::new(Kind {
            group: text(group),
            version: text(&version),
            kind: text(kind),
            plural: text(text_at(found, "name").unwrap_or_default()),
            namespaced: found.get("namespaced").and_then(Wire::as_bool) == Some(true),
            ..*self
        }));
        lock().insert(key, resolved);
        Ok(resolved)
    }
}

/// Whether an error says that the cluster has no such kind: then it has no such objects either.
pub(crate) fn not_served(error: &Error) -> bool {
    matches!(error, Error::Refused { answer, .. } if answer.reason == Reason::NotServed)
}

impl FromText for Json {}
impl FromItems<Item<Json>> for Json {
    fn collect(items: impl Iterator<Item = Item<Json>>) -> Value {
        Value::List(items.map(IntoInput::<Json>::into_value).collect())
    }
}
impl<K: Into<String>> FromItems<(K, Item<Json>)> for Json {
    fn collect(items: impl Iterator<Item = (K, Item<Json>)>) -> Value {
        Value::Map(items.map(|(key, value)| (key.into(), IntoInput::<Json>::into_value(value))).collect())
    }
}
impl Flows<Json> for Vec<String> {}
impl Flows<Json> for BTreeMap<String, String> {}

macro_rules! scalars {
    ($($source:ty)*) => {$(
        impl Flows<Json> for $source {}
        impl IntoInput<Json> for $source {
            fn into_value(self) -> Value {
                self.to_value()
            }
        }
    )*};
}
scalars!(String bool i32 i64 f64);
