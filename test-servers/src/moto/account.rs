//! Who and what is in moto's account: users and roles with policies, and keys of KMS.

use std::{io, net::Ipv4Addr};

use super::Moto;
use crate::{Error, http};

const REGION: &str = "eu-central-1";

/// Lets everybody take on a role: who may is not what is tried.
const TRUST: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;

/// What somebody signs with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The id of the access key.
    pub id: String,
    /// The access key.
    pub secret: String,
    /// What goes with the key of a role's session; a user's has none.
    pub token: Option<String>,
}

impl Credentials {
    /// Environment under which AWS SDKs and the `aws` command are this somebody; goes on top of [`Moto::env`].
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![("AWS_ACCESS_KEY_ID", self.id.clone()), ("AWS_SECRET_ACCESS_KEY", self.secret.clone())];
        env.extend(self.token.clone().map(|token| ("AWS_SESSION_TOKEN", token)));
        env
    }
}

impl Moto {
    /// Makes a user with these policies, and an access key of theirs.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer, or refuses: there is such a user, or a policy makes no sense.
    pub fn user(&self, name: &str, policies: &[&str]) -> Result<Credentials, Error> {
        self.iam(&[("Action", "CreateUser"), ("UserName", name)])?;
        for (number, policy) in policies.iter().enumerate() {
            let policy_name = format!("policy-{number}");
            self.iam(&[
                ("Action", "PutUserPolicy"),
                ("UserName", name),
                ("PolicyName", &policy_name),
                ("PolicyDocument", policy),
            ])?;
        }
        let made = self.iam(&[("Action", "CreateAccessKey"), ("UserName", name)])?;
        Ok(Credentials {
            id: self.field(&made, "AccessKeyId")?,
            secret: self.field(&made, "SecretAccessKey")?,
            token: None,
        })
    }

    /// Makes a role with these policies, and takes it on: what a job of a CI service is given.
    ///
    /// # Errors
    ///
    /// As [`user`](Self::user).
    pub fn role(&self, name: &str, policies: &[&str]) -> Result<Credentials, Error> {
        let made = self.iam(&[("Action", "CreateRole"), ("RoleName", name), ("AssumeRolePolicyDocument", TRUST)])?;
        for (number, policy) in policies.iter().enumerate() {
            let policy_name = format!("policy-{number}");
            self.iam(&[
                ("Action", "PutRolePolicy"),
                ("RoleName", name),
                ("PolicyName", &policy_name),
                ("PolicyDocument", policy),
            ])?;
        }
        let arn = self.field(&made, "Arn")?;
        let session = self.query(
            "sts",
            &[("Action", "AssumeRole"), ("Version", "2011-06-15"), ("RoleArn", &arn), ("RoleSessionName", "test")],
        )?;
        Ok(Credentials {
            id: self.field(&session, "AccessKeyId")?,
            secret: self.field(&session, "SecretAccessKey")?,
            token: Some(self.field(&session, "SessionToken")?),
        })
    }

    /// Makes a symmetric key of KMS with an alias (`alias/NAME`), and returns its ARN.
    ///
    /// # Errors
    ///
    /// [`Error::Ask`] where the server does not answer, or refuses.
    pub fn kms_key(&self, alias: &str) -> Result<String, Error> {
        let made = self.kms("CreateKey", &serde_json::json!({}))?;
        let metadata = &made["KeyMetadata"];
        let (Some(id), Some(arn)) = (metadata["KeyId"].as_str(), metadata["Arn"].as_str()) else {
            return Err(self.refused("kms", "CreateKey", &format!("no key in {made}")));
        };
        self.kms("CreateAlias", &serde_json::json!({ "AliasName": alias, "TargetKeyId": id }))?;
        Ok(arn.to_owned())
    }

    fn iam(&self, parameters: &[(&str, &str)]) -> Result<String, Error> {
        self.query("iam", &[&[("Version", "2010-05-08")], parameters].concat())
    }

    /// One call of a service that takes forms, as an SDK makes it but for the signature.
    fn query(&self, service: &str, parameters: &[(&str, &str)]) -> Result<String, Error> {
        let body: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        self.sign(service, &[("Content-Type", "application/x-www-form-urlencoded")], &body.join("&"))
    }

    fn kms(&self, operation: &str, body: &serde_json::Value) -> Result<serde_json::Value, Error> {
        let target = format!("TrentService.{operation}");
        let headers = [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", target.as_str())];
        let answer = self.sign("kms", &headers, &body.to_string())?;
        serde_json::from_str(&answer).or_else(|error| match answer.is_empty() {
            true => Ok(serde_json::Value::Null),
            false => Err(self.refused("kms", operation, &error.to_string())),
        })
    }

    fn sign(&self, service: &str, headers: &[(&str, &str)], body: &str) -> Result<String, Error> {
        let credential = format!("test/20260101/{REGION}/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0");
        let headers = [&[("Authorization", authorization.as_str())], headers].concat();
        let answer = http::send((Ipv4Addr::LOCALHOST, self.port).into(), "POST /", &headers, body)
            .map_err(|error: io::Error| self.refused("POST", service, &error.to_string()))?;
        if answer.status != 200 {
            return Err(self.refused("POST", service, &format!("{} {}", answer.status, answer.body)));
        }
        Ok(answer.body)
    }

    /// The text of the first element of a name.
    fn field(&self, answer: &str, tag: &str) -> Result<String, Error> {
        let text = answer.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split('<').next());
        text.map(str::to_owned).ok_or_else(|| self.refused("POST", "/", &format!("no {tag} in {answer}")))
    }
}

/// A text as it stands in a form.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
