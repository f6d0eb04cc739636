variable "name" {
  type = string
}

resource "terraform_data" "main" {
  input = var.name
}

module "sub" {
  source = "./sub"
  name   = terraform_data.main.output
}
