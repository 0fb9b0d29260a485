// C++: static constructors, exceptions through frames with destructors, iostreams, RTTI, and an exception in a thread.
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <typeinfo>
#include <vector>

namespace {

struct Announcer {
    explicit Announcer(std::string name) : name(std::move(name)) { std::cout << "enter " << this->name << '\n'; }
    ~Announcer() { std::cout << "leave " << name << '\n'; }
    std::string name;
};

Announcer global("global");

struct Base { virtual ~Base() = default; };
struct Derived : Base {};

[[noreturn]] void fail(int depth)
{
    Announcer frame("frame " + std::to_string(depth));
    if (depth == 0)
        throw std::out_of_range("deep");
    fail(depth - 1);
}

int recurse(int depth)
{
    if (depth == 0)
        throw depth;
    try {
        return recurse(depth - 1);
    } catch (int caught) {
        throw caught + 1;
    }
}

}

int main()
{
    try {
        fail(3);
    } catch (const std::logic_error &error) {
        std::cout << "caught " << error.what() << '\n';
    }

    try {
        recurse(500);
    } catch (int depth) {
        std::cout << "rethrown " << depth << " times\n";
    }

    std::unique_ptr<Base> object = std::make_unique<Derived>();
    std::cout << "derived " << (dynamic_cast<Derived *>(object.get()) != nullptr) << '\n';
    try {
        std::vector<int> three(3);
        three.at(7) = 1;
    } catch (const std::exception &) {
        std::cout << "caught std::exception\n";
    }

    std::exception_ptr carried;
    std::thread worker([&carried] {
        try {
            fail(1);
        } catch (...) {
            carried = std::current_exception();
        }
    });
    worker.join();
    try {
        std::rethrow_exception(carried);
    } catch (const std::out_of_range &error) {
        std::cout << "from the thread: " << error.what() << '\n';
    }

    std::map<std::string, int> words;
    std::istringstream text("the guest runs the program the host allowed");
    for (std::string word; text >> word;)
        words[word]++;
    for (const auto &[word, count] : words)
        std::cout << word << '=' << count << ' ';
    std::cout << std::endl;

    std::string line;
    int lines = 0;
    while (std::getline(std::cin, line))
        lines++;
    std::cout << "lines read " << lines << std::endl;
    return 0;
}
