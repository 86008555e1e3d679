module github.com/mytun/mytun

go 1.25.0
