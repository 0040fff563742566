#pragma once

#include <string>

// Greeting is the first line of a file.
std::string Greeting(const std::string& path);
