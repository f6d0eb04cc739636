use stackkit::{Properties, resource};

#[resource("acme:db:Database")]
struct Database {
    master_password: String,
    api_tokens: Option<Vec<String>>,
    password_length: u32,
    settings: Settings,
    credentials: Option<Settings>,
    #[resource(output)]
    private_key: String,
}

#[derive(Clone, Debug, Properties)]
struct Settings {
    secret_name: String,
    client_secret: Option<String>,
}

fn main() {}
