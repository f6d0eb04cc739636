variable "token" {
  type      = string
  sensitive = true
  default   = "hunter2 hunter2"
}

resource "terraform_data" "plain" {
  input = "hello"
}

resource "terraform_data" "secret" {
  input = var.token
}

resource "terraform_data" "counted" {
  count = 2
  input = { number = count.index, name = terraform_data.plain.output }
}

resource "terraform_data" "keyed" {
  for_each = toset(["eu/a: b"])
  input    = terraform_data.counted[1].output.number
}

data "terraform_remote_state" "other" {
  backend = "local"
  config  = { path = "other.tfstate" }
}

module "net" {
  source   = "./net"
  for_each = toset(["west"])
  name     = terraform_data.plain.output
}
