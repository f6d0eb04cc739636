variable "name" {
  type = string
}

resource "terraform_data" "inner" {
  input = [var.name, 3, null, true]
}
