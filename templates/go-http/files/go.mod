module example.com/{{ project.path }}

go 1.19
