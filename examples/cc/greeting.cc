#include "greeting.h"

#include <fstream>
#include <stdexcept>

std::string Greeting(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) throw std::runtime_error(path + " has no line");
  return line;
}
