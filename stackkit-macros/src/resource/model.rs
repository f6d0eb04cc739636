//! The model of a resource type: the struct and its options, brought together.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, ItemStruct, Path, Token, Type, Visibility};

use super::attr::{FieldOptions, TypeOptions};
use crate::args::docs;
use crate::errors::Errors;
use crate::types;

/// A resource type.
pub struct Model {
    pub ident: Ident,
    pub vis: Visibility,
    pub doc_attrs: TokenStream,
    pub docs: String,
    /// Traits to derive for args and state besides `Clone` and `Debug`.
    pub derives: Vec<Path>,
    /// Other attributes, for every struct that is made.
    pub attrs: TokenStream,
    /// Those of them that go on impls, too: conditions and lint levels.
    pub gate: TokenStream,
    pub options: TypeOptions,
    pub fields: Vec<Field>,
}

/// A field of it.
pub struct Field {
    pub ident: Ident,
    /// Name in the schema.
    pub key: String,
    pub ty: Type,
    pub doc_attrs: TokenStream,
    pub docs: String,
    pub options: FieldOptions,
    /// Whether a change forces a replacement.
    pub replace: bool,
}

impl Model {
    /// Reads the struct.
    pub fn new(item: ItemStruct, options: TypeOptions, errors: &mut Errors) -> Self {
        let (doc_attrs, docs_text) = docs(&item.attrs);
        let mut derives = Vec::new();
        let (mut attrs, mut gate) = (TokenStream::new(), TokenStream::new());
        for attr in &item.attrs {
            if attr.path().is_ident("derive") {
                let paths = attr.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated);
                derives.extend(errors.absorb(paths).into_iter().flatten().filter(|path| {
                    path.segments.last().is_none_or(|last| last.ident != "Clone" && last.ident != "Debug")
                }));
            } else if !attr.path().is_ident("doc") {
                attrs.extend(quote! { #attr });
                if ["cfg", "allow", "warn", "deny", "forbid"].iter().any(|name| attr.path().is_ident(name)) {
                    gate.extend(quote! { #attr });
                }
            }
        }
        let fields = item
            .fields
            .into_iter()
            .filter_map(|field| {
                let ident = field.ident?;
                let options_of_field = FieldOptions::parse(&field.attrs, options.kind, errors);
                let (doc_attrs, docs) = docs(&field.attrs);
                Some(Field {
                    key: ident.unraw().to_string(),
                    ident,
                    ty: types::without_self(field.ty, &item.ident),
                    doc_attrs,
                    docs,
                    replace: options_of_field.output.is_none()
                        && (options.immutable || options_of_field.replace.is_some()),
                    options: options_of_field,
                })
            })
            .collect();
        Self { ident: item.ident, vis: item.vis, doc_attrs, docs: docs_text, derives, attrs, gate, options, fields }
    }

    /// Inputs and their indices.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields.iter().enumerate().filter(|(_, field)| !field.is_output())
    }

    /// Outputs and their indices.
    pub fn outputs(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields.iter().enumerate().filter(|(_, field)| field.is_output())
    }
}

impl Field {
    /// Whether the provider gives it.
    pub fn is_output(&self) -> bool {
        self.options.output.is_some()
    }

    /// Whether `new` takes it.
    pub fn is_required(&self) -> bool {
        !self.is_output()
            && self.options.default.is_none()
            && self.options.name.is_none()
            && types::option_of(&self.ty).is_none()
    }

    /// The type within `Option`, or the type itself.
    pub fn bare_type(&self) -> &Type {
        types::option_of(&self.ty).unwrap_or(&self.ty)
    }

    /// The type within `Option` that programs give: what is not kept may be ephemeral, too.
    pub fn given_type(&self, private: &TokenStream) -> TokenStream {
        self.unkept(self.bare_type(), private)
    }

    /// The `T` of the `Output<T>` that programs refer to: a name and what the cloud chooses are always there, and what is
    /// not kept here must not be kept elsewhere for its sake.
    pub fn output_type(&self, private: &TokenStream) -> TokenStream {
        let always = self.options.name.is_some() || self.options.computed.is_some();
        if !always && let Some(inner) = types::option_of(&self.ty) {
            let inner = self.unkept(inner, private);
            return quote! { ::core::option::Option<#inner> };
        }
        self.unkept(self.bare_type(), private)
    }

    fn unkept(&self, ty: &Type, private: &TokenStream) -> TokenStream {
        match types::secret_of(ty).filter(|_| self.options.write_only.is_some()) {
            Some(inner) => quote! { #private::Ephemeral<#inner> },
            None => quote! { #ty },
        }
    }

    /// The default, if there is one.
    pub fn default(&self) -> Option<&Expr> {
        self.options.default.as_ref()
    }
}
