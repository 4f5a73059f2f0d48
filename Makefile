# Aliases, for those who type make. ./dev is the front door and needs no make.
.PHONY: demo test check bench up down

demo test check bench:
	./dev $@

up:
	docker compose up --build --detach --wait

down:
	docker compose down
