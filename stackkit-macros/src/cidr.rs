//! `cidr!`: an address block that is checked when the program is compiled.

use ipnet::IpNet;
use proc_macro2::TokenStream;
use quote::quote;
use syn::LitStr;

/// What `cidr!("…")` becomes.
pub fn expand(tokens: TokenStream) -> TokenStream {
    let checked = syn::parse2::<LitStr>(tokens)
        .map_err(|error| syn::Error::new(error.span(), "expected one literal: `cidr!(\"10.0.0.0/16\")`"))
        .and_then(|literal| check(&literal.value()).map_err(|message| syn::Error::new(literal.span(), message)));
    match checked {
        Ok(IpNet::V4(net)) => {
            let (octets, prefix) = (net.addr().octets(), net.prefix_len());
            quote! { ::stackkit::__private::cidr_v4([#(#octets),*], #prefix) }
        }
        Ok(IpNet::V6(net)) => {
            let (segments, prefix) = (net.addr().segments(), net.prefix_len());
            quote! { ::stackkit::__private::cidr_v6([#(#segments),*], #prefix) }
        }
        Err(error) => {
            // A value of the right type, so that the error stays alone.
            let error = error.into_compile_error();
            quote! {{ #error ::stackkit::__private::cidr_v4([0, 0, 0, 0], 0) }}
        }
    }
}

fn check(text: &str) -> Result<IpNet, String> {
    let Ok(net) = text.parse::<IpNet>() else {
        return Err(match text.parse::<std::net::IpAddr>() {
            Ok(addr) => {
                let whole = if addr.is_ipv4() { 32 } else { 128 };
                format!("`{text}` is an address: a block needs a prefix, `{text}/{whole}` for this address alone")
            }
            Err(_) => format!("`{text}` is not an address block: expected one such as `10.0.0.0/16` or `fd00::/8`"),
        });
    };
    if net.addr() != net.network() {
        return Err(format!("`{text}` has host bits set: the block is `{}`", net.trunc()));
    }
    Ok(net)
}
