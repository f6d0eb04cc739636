# A network, firewalls and buckets, as the program in aws/ declares them, as far as both can on moto.
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "step" {
  default = 0
}

locals {
  count = 5
}

provider "aws" {
  s3_use_path_style = true
}

resource "aws_vpc" "network" {
  cidr_block = "10.0.0.0/16"
}

resource "aws_internet_gateway" "gateway" {
  vpc_id = aws_vpc.network.id
}

resource "aws_subnet" "subnet" {
  count      = local.count
  vpc_id     = aws_vpc.network.id
  cidr_block = cidrsubnet("10.0.0.0/16", 8, count.index * 40 + (count.index % 2) * var.step)
}

resource "aws_route_table" "routes" {
  count  = 2
  vpc_id = aws_vpc.network.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.gateway.id
  }
}

resource "aws_route_table_association" "routes" {
  count          = local.count
  subnet_id      = aws_subnet.subnet[count.index].id
  route_table_id = aws_route_table.routes[count.index % 2].id
}

resource "aws_security_group" "group" {
  count       = local.count
  name_prefix = "group-${count.index}-"
  description = "version ${(count.index % 2) * var.step}"
  vpc_id      = aws_vpc.network.id
  ingress {
    from_port   = 8000 + count.index + var.step
    to_port     = 8000 + count.index + var.step
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_s3_bucket" "bucket" {
  count         = local.count
  bucket        = "kills-${count.index}-${(count.index % 2) * var.step}"
  force_destroy = true
}
