use stackkit::{Cidr, cidr};

const PREFIX: &str = "10.0.0.0/8";

fn main() {
    let _: Cidr = cidr!("10.0.3.7/16");
    let _: Cidr = cidr!("fd00::1/8");
    let _: Cidr = cidr!("10.0.0.1");
    let _: Cidr = cidr!("10.0.0.0/33");
    let _: Cidr = cidr!(PREFIX);
}
