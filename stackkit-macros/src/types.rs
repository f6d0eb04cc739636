//! What can be told of a field's type by its tokens: whether it is an `Option`, and whether it may hold a secret.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{GenericArgument, Ident, Path, PathArguments, Type};

use crate::errors::Errors;
use crate::names;

/// The `T` of `Option<T>`.
pub fn option_of(ty: &Type) -> Option<&Type> {
    argument(ty, "Option")
}

/// The `T` of `Secret<T>`.
pub fn secret_of(ty: &Type) -> Option<&Type> {
    argument(ty, "Secret")
}

/// An assertion that nothing in the type is ephemeral, where the tokens alone do not tell.
pub fn check_lasting(ident: &Ident, ty: &Type, root: &Path) -> TokenStream {
    let named = ty.to_token_stream().to_string().contains("Ephemeral");
    if !named && !matches!(secrecy(ty), Secrecy::Unclear) {
        return TokenStream::new();
    }
    let private = private_at(root, ident.span());
    quote_spanned! { here(ident.span()) =>
        const _: fn() = #private::lasting::<#ty>;
    }
}

/// Whether the type is written as a plain name such as `String`.
pub fn is_named(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|segment| segment.ident == name)
}

/// Refuses a field that is named like a secret and is none. Where the tokens alone do not tell (a nested struct may
/// hold the secret), an assertion on the type is returned.
pub fn check_secret(
    key: &str,
    ident: &Ident,
    ty: &Type,
    attribute: &str,
    root: &Path,
    errors: &mut Errors,
) -> TokenStream {
    if !names::reads_like_a_secret(key) {
        return TokenStream::new();
    }
    let message = format!(
        "`{key}` is named like a secret, and its type is not: declare it as `Secret<{}>`, or say `#[{attribute}(not_secret)]`",
        pretty(option_of(ty).unwrap_or(ty)),
    );
    match secrecy(ty) {
        Secrecy::Yes | Secrecy::CannotMatter => TokenStream::new(),
        Secrecy::No => {
            errors.on(ident, message);
            TokenStream::new()
        }
        Secrecy::Unclear => quote_spanned! { ident.span() =>
            const _: () = ::core::assert!(
                <<#ty as #root::__private::Property>::Mark as #root::__private::Mark>::SECRET,
                #message
            );
        },
    }
}

/// `…::__private`, located at a token of the user's, so that errors and notes point there.
pub fn private_at(root: &Path, at: Span) -> TokenStream {
    let locate = |mut token: TokenTree| {
        token.set_span(here(at));
        token
    };
    quote! { #root::__private }.into_iter().map(locate).collect()
}

/// The place of a token of the user's, for code that is still the macro's.
pub fn here(at: Span) -> Span {
    Span::call_site().located_at(at)
}

/// The type with `Self` replaced by what it means: the field ends up in other structs, too.
pub fn without_self(ty: Type, own: &Ident) -> Type {
    fn replace(tokens: TokenStream, own: &Ident) -> TokenStream {
        let each = |token| match token {
            TokenTree::Ident(ident) if ident == "Self" => TokenTree::Ident(Ident::new(&own.to_string(), ident.span())),
            TokenTree::Group(group) => {
                let mut replaced = Group::new(group.delimiter(), replace(group.stream(), own));
                replaced.set_span(group.span());
                TokenTree::Group(replaced)
            }
            other => other,
        };
        tokens.into_iter().map(each).collect()
    }
    syn::parse2(replace(ty.to_token_stream(), own)).unwrap_or(ty)
}

/// A type as a user would write it.
pub fn pretty(ty: &Type) -> String {
    let text = ty.to_token_stream().to_string();
    ["<", ">", "::", ",", "(", ")"].iter().fold(text, |text, sign| {
        let text = text.replace(&format!(" {sign}"), sign);
        if *sign == "," || *sign == ">" { text } else { text.replace(&format!("{sign} "), sign) }
    })
}

enum Secrecy {
    Yes,
    No,
    /// A truth value is no secret, whatever its name.
    CannotMatter,
    Unclear,
}

fn secrecy(ty: &Type) -> Secrecy {
    const PLAIN: &[&str] =
        &["String", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64", "Json", "Cidr"];
    if let Type::Tuple(tuple) = ty {
        return tuple.elems.iter().map(secrecy).find(|part| !matches!(part, Secrecy::No)).unwrap_or(Secrecy::No);
    }
    let Some(segment) = last_segment(ty) else { return Secrecy::Unclear };
    let name = segment.ident.to_string();
    match name.as_str() {
        "Secret" | "Ephemeral" => Secrecy::Yes,
        "bool" => Secrecy::CannotMatter,
        "Option" | "Vec" | "Set" | "BTreeMap" => last_argument(ty).map_or(Secrecy::Unclear, secrecy),
        plain if PLAIN.contains(&plain) => Secrecy::No,
        _ => Secrecy::Unclear,
    }
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

fn argument<'a>(ty: &'a Type, of: &str) -> Option<&'a Type> {
    (last_segment(ty)?.ident == of).then(|| last_argument(ty)).flatten()
}

fn last_argument(ty: &Type) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &last_segment(ty)?.arguments else { return None };
    arguments.args.iter().rev().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
