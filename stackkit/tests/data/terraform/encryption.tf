terraform {
  encryption {
    key_provider "pbkdf2" "main" {
      passphrase = "a passphrase for this test alone"
    }
    method "aes_gcm" "main" {
      keys = key_provider.pbkdf2.main
    }
    state {
      method   = method.aes_gcm.main
      enforced = true
    }
  }
}
