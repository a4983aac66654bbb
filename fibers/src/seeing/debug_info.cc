// SPDX-FileCopyrightText: The weft authors
// SPDX-License-Identifier: MIT OR Apache-2.0

// By libdw, which reads DWARF. It is loaded when somebody asks for the first time: programs do not
// link it, those that never print a backtrace do not load it, and where it is missing backtraces
// have the names of functions only.

#include "fibers/src/seeing/debug_info.h"

#ifndef WEFT_LIBDW

namespace weft::fibers::detail {
std::vector<CodePlace> places_of(const void* /*address*/) {
  return {};
}
}  // namespace weft::fibers::detail

#else

#include <cxxabi.h>
#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <link.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>

#include "fibers/sys/sys.h"

namespace weft::fibers::detail {

namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// clang-format off
#define WEFT_LIBDW_FUNCTIONS(use) \
  use(dwfl_begin) use(dwfl_report_begin_add) use(dwfl_report_elf) use(dwfl_report_end) \
  use(dwfl_addrmodule) use(dwfl_module_addrdie) use(dwfl_module_nextcu) use(dwfl_build_id_find_debuginfo) \
  use(dwarf_haspc) use(dwarf_ranges) use(dwarf_child) use(dwarf_siblingof) \
  use(dwarf_dieoffset) use(dwarf_getsrc_die) use(dwarf_linesrc) use(dwarf_lineno) \
  use(dwarf_tag) use(dwarf_diename) use(dwarf_attr) use(dwarf_attr_integrate) \
  use(dwarf_formstring) use(dwarf_formudata) use(dwarf_getsrcfiles) use(dwarf_filesrc)
// clang-format on
#define WEFT_TYPE(name) using name##_t = decltype(&name);  // NOLINT(bugprone-macro-parentheses)
WEFT_LIBDW_FUNCTIONS(WEFT_TYPE)
#undef WEFT_TYPE

// The functions of libdw that are used, under their own names. Loaded for good.
struct Libdw {
#define WEFT_MEMBER(name) name##_t name = nullptr;
  WEFT_LIBDW_FUNCTIONS(WEFT_MEMBER)
#undef WEFT_MEMBER

  // Whether all of them are there.
  bool load() {
    void* const library = sys::dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return false;
    bool complete = true;
#define WEFT_LOAD(name)                                         \
  (name) = reinterpret_cast<name##_t>(::dlsym(library, #name)); \
  complete = complete && (name) != nullptr;
    WEFT_LIBDW_FUNCTIONS(WEFT_LOAD)
#undef WEFT_LOAD
#undef WEFT_LIBDW_FUNCTIONS
    return complete;
  }
};

// An executable or a library of this process that has code at an address.
struct Module {
  std::uintptr_t address;
  std::string file;
  ElfW(Addr) bias = 0;
  bool found = false;
};

int look_for_module(dl_phdr_info* info, std::size_t /*size*/, void* argument) {
  auto& module = *static_cast<Module*>(argument);
  for (ElfW(Half) i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || module.address - begin >= segment.p_memsz) continue;
    const bool is_program = info->dlpi_name == nullptr || *info->dlpi_name == '\0';
    module.file = is_program ? "/proc/self/exe" : info->dlpi_name;
    module.bias = info->dlpi_addr;
    module.found = true;
    return 1;
  }
  return 0;
}

// "f<int, g<char>>(h<int>)" becomes "f<>(h<>)": with all their arguments names fill the screen.
std::string without_template_arguments(std::string_view name) {
  constexpr std::string_view kOperator = "operator";
  std::string text;
  int depth = 0;
  if (name.starts_with('<')) return std::string(name);  // <lambda()>
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (depth == 0 && name.substr(i).starts_with(kOperator)) {  // operator<, operator->
      text += kOperator;
      for (i += kOperator.size(); i < name.size() && std::strchr("<>=-", name[i]) != nullptr; ++i) {
        text += name[i];
      }
      if (i == name.size()) break;
    }
    const bool arrow = name[i] == '>' && i > 0 && name[i - 1] == '-';
    if (name[i] == '<' && depth++ == 0) text += '<';
    if (name[i] == '>' && !arrow) --depth;
    if (depth == 0) text += name[i];
  }
  constexpr std::string_view kTag = "[abi:cxx11]";
  for (std::size_t at = text.find(kTag); at != text.npos; at = text.find(kTag)) {
    text.erase(at, kTag.size());
  }
  return text;
}

std::string readable(const char* symbol) {
  int status = 0;
  const std::unique_ptr<char, Free> name(abi::__cxa_demangle(symbol, nullptr, nullptr, &status));
  return name == nullptr ? std::string(symbol) : without_template_arguments(name.get());
}

std::string last_part(const char* file) {
  if (file == nullptr) return "";
  std::string_view path(file);
  return std::string(path.substr(path.rfind('/') + 1));
}

// Where the code of a function is, as far as it is in one piece.
struct Function {
  Dwarf_Addr begin;
  Dwarf_Word size;
  Dwarf_Die die;
};

class DebugInfo {
 public:
  std::vector<CodePlace> places_of(Dwarf_Addr address) {
    if (!usable() || !knows(address)) return {};
    Dwarf_Addr bias = 0;
    Dwarf_Die* const unit = unit_of(address, &bias);
    if (unit == nullptr) return {};
    Dwfl_Module* const module = dw_.dwfl_addrmodule(dwfl_, address);
    Dwarf_Die* const function = function_of(module, unit, address - bias);
    // clang's -g1 describes only functions that others are inlined into. The lines it has of all.
    if (function == nullptr) return {line_at(unit, address - bias)};
    return walk(unit, *function, address - bias);
  }

 private:
  bool usable() {
    if (dwfl_ != nullptr) return true;
    if (!dw_.load()) return false;
    // Not what asks servers for debug information: a report is not to wait for the network.
    callbacks_.find_debuginfo = dw_.dwfl_build_id_find_debuginfo;
    dwfl_ = dw_.dwfl_begin(&callbacks_);
    return dwfl_ != nullptr;
  }

  // Makes the file known that has this code. Not all that are mapped: the list of mappings of a
  // program with many stacks is long.
  bool knows(Dwarf_Addr address) {
    if (dw_.dwfl_addrmodule(dwfl_, address) != nullptr) return true;
    Module module{.address = static_cast<std::uintptr_t>(address), .file = {}};
    ::dl_iterate_phdr(&look_for_module, &module);
    if (!module.found || !tried_.insert(module.file).second) return false;
    dw_.dwfl_report_begin_add(dwfl_);
    dw_.dwfl_report_elf(dwfl_, module.file.c_str(), module.file.c_str(), -1, module.bias, true);
    dw_.dwfl_report_end(dwfl_, nullptr, nullptr);
    return dw_.dwfl_addrmodule(dwfl_, address) != nullptr;
  }

  // clang writes no table of the units' addresses, and what stands in that of others may be the
  // unit before.
  Dwarf_Die* unit_of(Dwarf_Addr address, Dwarf_Addr* bias) {
    Dwfl_Module* const module = dw_.dwfl_addrmodule(dwfl_, address);
    Dwarf_Die* unit = dw_.dwfl_module_addrdie(module, address, bias);
    if (unit != nullptr && dw_.dwarf_haspc(unit, address - *bias) > 0) return unit;
    unit = nullptr;
    while ((unit = dw_.dwfl_module_nextcu(module, unit, bias)) != nullptr) {
      if (dw_.dwarf_haspc(unit, address - *bias) > 0) return unit;
    }
    return nullptr;
  }

  // The function that was compiled to this code. Not by dwarf_getscopes(), which does not find
  // lambdas: their functions stand inside the function around them, whose code is elsewhere.
  Dwarf_Die* function_of(Dwfl_Module* module, Dwarf_Die* unit, Dwarf_Addr address) {
    const std::pair key(module, dw_.dwarf_dieoffset(unit));
    auto known = functions_.find(key);
    if (known == functions_.end()) known = functions_.emplace(key, functions_in(*unit)).first;
    for (Function& function : known->second) {
      if (address - function.begin < function.size) return &function.die;
    }
    return nullptr;
  }

  std::vector<Function> functions_in(Dwarf_Die unit) {
    std::vector<Function> functions;
    std::vector<Dwarf_Die> todo{unit};
    while (!todo.empty()) {
      Dwarf_Die parent = todo.back();
      todo.pop_back();
      Dwarf_Die die;
      if (dw_.dwarf_child(&parent, &die) != 0) continue;
      do {
        if (may_hold_functions(dw_.dwarf_tag(&die))) todo.push_back(die);
        if (dw_.dwarf_tag(&die) == DW_TAG_subprogram) add_ranges(die, functions);
      } while (dw_.dwarf_siblingof(&die, &die) == 0);
    }
    return functions;
  }

  static bool may_hold_functions(int tag) {
    return tag == DW_TAG_namespace || tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
           tag == DW_TAG_union_type || tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block;
  }

  void add_ranges(Dwarf_Die die, std::vector<Function>& functions) {
    Dwarf_Addr base = 0;
    Dwarf_Addr begin = 0;
    Dwarf_Addr end = 0;
    std::ptrdiff_t offset = 0;
    while ((offset = dw_.dwarf_ranges(&die, offset, &base, &begin, &end)) > 0) {
      functions.push_back({begin, end - begin, die});
    }
  }

  // From the function inwards, along what is inlined into it there.
  std::vector<CodePlace> walk(Dwarf_Die* unit, Dwarf_Die function, Dwarf_Addr address) {
    std::vector<Dwarf_Die> chain{function};
    Dwarf_Die scope = function;
    while (next_scope(&scope, address)) {
      if (dw_.dwarf_tag(&scope) == DW_TAG_inlined_subroutine) chain.push_back(scope);
    }
    std::vector<CodePlace> places;
    CodePlace at = line_at(unit, address);
    for (std::size_t i = chain.size(); i-- > 0;) {
      at.function = name_of(&chain[i]);
      at.inlined = i > 0;
      places.push_back(at);
      if (at.inlined) at = called_from(unit, &chain[i]);
    }
    return places;
  }

  // Without the function's name.
  CodePlace line_at(Dwarf_Die* unit, Dwarf_Addr address) {
    CodePlace at;
    if (Dwarf_Line* const line = dw_.dwarf_getsrc_die(unit, address)) {
      at.file = last_part(dw_.dwarf_linesrc(line, nullptr, nullptr));
      dw_.dwarf_lineno(line, &at.line);
    }
    return at;
  }

  // Replaces a scope by the block or inlined function in it that has this address.
  bool next_scope(Dwarf_Die* scope, Dwarf_Addr address) {
    Dwarf_Die die;
    if (dw_.dwarf_child(scope, &die) != 0) return false;
    do {
      const int tag = dw_.dwarf_tag(&die);
      const bool is_scope = tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block;
      if (is_scope && dw_.dwarf_haspc(&die, address) > 0) {
        *scope = die;
        return true;
      }
    } while (dw_.dwarf_siblingof(&die, &die) == 0);
    return false;
  }

  std::string name_of(Dwarf_Die* scope) {
    Dwarf_Attribute attribute;
    const char* symbol = nullptr;
    if (dw_.dwarf_attr_integrate(scope, DW_AT_linkage_name, &attribute) != nullptr) {
      symbol = dw_.dwarf_formstring(&attribute);
    }
    std::string name = symbol == nullptr ? "" : readable(symbol);
    if (!name.empty()) return name;
    const char* const plain = dw_.dwarf_diename(scope);
    if (plain == nullptr) return "";
    // What is local to a function has no symbol where it is inlined: nearly always a lambda.
    name = without_template_arguments(plain);
    return name == "operator()" ? "{lambda}::operator()" : name;
  }

  // Where the call of an inlined function stands.
  CodePlace called_from(Dwarf_Die* unit, Dwarf_Die* scope) {
    CodePlace at;
    at.line = static_cast<int>(number(scope, DW_AT_call_line));
    Dwarf_Files* files = nullptr;
    std::size_t count = 0;
    const std::size_t file = number(scope, DW_AT_call_file);
    if (dw_.dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count) {
      at.file = last_part(dw_.dwarf_filesrc(files, file, nullptr, nullptr));
    }
    return at;
  }

  Dwarf_Word number(Dwarf_Die* scope, unsigned int name) {
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    if (dw_.dwarf_attr(scope, name, &attribute) != nullptr) {
      dw_.dwarf_formudata(&attribute, &value);
    }
    return value;
  }

  Libdw dw_;
  Dwfl_Callbacks callbacks_{};
  Dwfl* dwfl_ = nullptr;
  // Of the units that were asked for: those of each module are known by their offsets.
  std::map<std::pair<Dwfl_Module*, Dwarf_Off>, std::vector<Function> > functions_;
  std::set<std::string> tried_;  // Files that libdw has been told of.
};

}  // namespace

static std::vector<CodePlace> look_up(const void* address) noexcept try {
  static std::mutex mutex;
  static auto* const info = new DebugInfo;  // Reports may be written after statics are gone.
  const std::lock_guard lock(mutex);
  return info->places_of(reinterpret_cast<std::uintptr_t>(address));
} catch (...) {
  return {};  // No memory: names will do.
}

// On a thread of its own: libdw and the loader need more stack than a task may have. It takes no
// signals, which are the program's business.
std::vector<CodePlace> places_of(const void* address) {
  std::vector<CodePlace> places;
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  sys::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    sys::thread([&] { places = look_up(address); }).join();
  } catch (const std::exception&) {
    places.clear();  // No thread: names will do.
  }
  sys::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return places;
}

}  // namespace weft::fibers::detail

#endif
