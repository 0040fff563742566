#include <exception>
#include <iostream>

#include "greeting.h"

int main() {
  try {
    std::cout << Greeting("greeting.txt") << std::endl;
  } catch (const std::exception& e) {
    std::cerr << e.what() << std::endl;
    return 1;
  }
}
