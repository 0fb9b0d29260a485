#!/bin/bash
# gcc, g++, ld, ar and make -j2, and running what they built.
set -e
export LC_ALL=C
cat > main.c <<'END'
#include <math.h>
#include <stdio.h>
int twice(int);
int main(int argc, char **argv) { printf("%d %.4f %d\n", twice(21), sqrt(2.0), argc); return argv[0] == 0; }
END
echo 'int twice(int x) { return 2 * x; }' > twice.c
gcc -O2 -Wall -o program main.c twice.c -lm && ./program a b
gcc -static -O2 -o static main.c twice.c -lm && ./static
gcc -shared -fPIC -o libtwice.so twice.c && gcc -o dynamic main.c -L. -ltwice -lm && LD_LIBRARY_PATH=. ./dynamic
gcc -c twice.c && ar rcs libtwice.a twice.o && nm libtwice.a | grep -c ' T twice' && gcc -o archived main.c libtwice.a -lm && ./archived x
cat > program.cc <<'END'
#include <iostream>
#include <map>
#include <string>
int main() { std::map<std::string, int> m{{"a", 1}, {"b", 2}}; for (auto &[k, v] : m) std::cout << k << v << '\n'; try { throw 42; } catch (int n) { std::cout << n << std::endl; } }
END
g++ -std=c++17 -o cxx program.cc && ./cxx
gcc -flto -O2 -o lto main.c twice.c -lm && ./lto
echo 'int main(void) { return missing; }' > wrong.c
gcc -o wrong wrong.c 2> errors || echo "an error: $(grep -c error errors)"
mkdir -p many && for i in 1 2 3 4 5 6; do echo "int f$i(void) { return $i; }" > "many/f$i.c"; done
cat > many/main.c <<'END'
#include <stdio.h>
int f1(void), f2(void), f3(void), f4(void), f5(void), f6(void);
int main(void) { printf("sum %d\n", f1() + f2() + f3() + f4() + f5() + f6()); return 0; }
END
cat > many/Makefile <<'END'
objects = f1.o f2.o f3.o f4.o f5.o f6.o main.o
sum: $(objects)
	@$(CC) -o $@ $^
%.o: %.c
	@$(CC) -c -o $@ $<
clean:
	@rm -f $(objects) sum
END
make -s -C many -j2 CC=gcc && many/sum
make -s -C many -j2 -O CC=gcc 2>&1 && echo up to date
printf 'all: a b\na b: ; @echo $@; sleep 0.1; echo $@\n' | make -s -f - -O -j2 2>&1 | uniq -c | sort
sleep 1; touch many/f3.c; make -s -C many CC=gcc; test many/sum -nt many/f3.c && test many/f3.o -nt many/f2.o && echo rebuilt
make -s -C many clean && ls many | wc -l
strip static && ./static && objdump -f program | grep -c 'x86-64' && readelf -h program | grep -c DYN
as --version | head -n 1 | grep -c assembler
