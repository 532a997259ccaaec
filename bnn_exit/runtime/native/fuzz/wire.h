// Numbers, bytes and texts between the case server and its client: read from the standard input, collected in `output`.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using Bytes = std::vector<uint8_t>;

inline void read_exactly(void* to, size_t size) {
  if (size && std::fread(to, 1, size, stdin) != size) std::exit(std::feof(stdin) ? 0 : 1);
}

template <typename T>
T read_number() {
  T value;
  read_exactly(&value, sizeof value);
  return value;
}

inline Bytes read_bytes() {
  Bytes bytes(read_number<uint32_t>());
  bytes.shrink_to_fit();
  read_exactly(bytes.data(), bytes.size());
  return bytes;
}

inline std::string output;

template <typename T>
inline void put(T value) {
  output.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline void put_bytes(const void* data, size_t size) {
  put(static_cast<uint32_t>(size));
  output.append(static_cast<const char*>(data), size);
}

inline void put_text(const std::string& text) { put_bytes(text.data(), text.size()); }
