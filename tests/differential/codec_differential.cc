// codec_differential.cc - our codec against the C++ implementation of protobuf on mutated messages.
//
//   codec_differential SET COUNT [SEED]
//
// For each input both must agree on whether it is a message; and for those that are:
//   - all fields read by us and written anew give the same message, unknown fields aside;
//   - all fields read by us and forwarded give the same bytes;
//   - one field cleared gives the same message as there, unknown fields included;
//   - every list and map written anew gives the same message, unknown fields included.
// Some differences are meant: we refuse tags above 32 bits, which C++ cuts off, and invalid UTF-8 in proto2
// strings, which C++ lets pass; and see has_odd_entry().
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/unknown_field_set.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "subject.h"

namespace pb = google::protobuf;
using std::string;

static std::mt19937_64 randomness;
static uint64_t pick(uint64_t below) { return below ? randomness() % below : 0; }

// A message as text that does not depend on the order of maps and shows every bit.
static string dump(const pb::Message &message, bool with_unknown);

static string dump_value(const pb::Message &m, const pb::FieldDescriptor *field, int index,
                         bool with_unknown) {
    const pb::Reflection *r = m.GetReflection();
    std::ostringstream out;
    auto bits = [](auto value) {
        if (value != value) return string("nan");
        return string(reinterpret_cast<const char *>(&value), sizeof value);
    };
#define GET(Type) (index < 0 ? r->Get##Type(m, field) : r->GetRepeated##Type(m, field, index))
    switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_INT32:
        out << GET(Int32);
        break;
    case pb::FieldDescriptor::CPPTYPE_INT64:
        out << GET(Int64);
        break;
    case pb::FieldDescriptor::CPPTYPE_UINT32:
        out << GET(UInt32);
        break;
    case pb::FieldDescriptor::CPPTYPE_UINT64:
        out << GET(UInt64);
        break;
    case pb::FieldDescriptor::CPPTYPE_BOOL:
        out << GET(Bool);
        break;
    case pb::FieldDescriptor::CPPTYPE_ENUM:
        out << GET(EnumValue);
        break;
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
        out << bits(GET(Double));
        break;
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
        out << bits(GET(Float));
        break;
    case pb::FieldDescriptor::CPPTYPE_STRING:
        out << GET(String).size() << '"' << GET(String);
        break;
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
        out << '{' << dump(GET(Message), with_unknown) << '}';
        break;
    }
#undef GET
    return out.str();
}

static string dump_map(const pb::Message &m, const pb::FieldDescriptor *field, bool with_unknown) {
    const pb::Reflection *r = m.GetReflection();
    std::map<string, string> entries;
    for (int i = 0; i < r->FieldSize(m, field); i++) {
        const pb::Message &entry = r->GetRepeatedMessage(m, field, i);
        const pb::Descriptor *type = field->message_type();
        entries[dump_value(entry, type->map_key(), -1, false)] =
            dump_value(entry, type->map_value(), -1, with_unknown);
    }
    string out;
    for (auto &entry : entries) out += entry.first + "=" + entry.second + ",";
    return out;
}

static string unknown_of(const pb::Message &m) {
    string out;
    m.GetReflection()->GetUnknownFields(m).SerializeToString(&out);
    return out;
}

static string dump(const pb::Message &m, bool with_unknown) {
    const pb::Reflection *r = m.GetReflection();
    std::vector<const pb::FieldDescriptor *> fields;
    r->ListFields(m, &fields);
    string out;
    for (auto field : fields) {
        out += std::to_string(field->number()) + ":";
        if (field->is_map())
            out += dump_map(m, field, with_unknown);
        else if (!field->is_repeated())
            out += dump_value(m, field, -1, with_unknown);
        else
            for (int i = 0; i < r->FieldSize(m, field); i++)
                out += dump_value(m, field, i, with_unknown) + ",";
        out += ";";
    }
    if (with_unknown && !r->GetUnknownFields(m).empty()) out += "?" + unknown_of(m);
    return out;
}

// Dynamic messages keep a number that a closed enum lacks inside of the map's entry, where generated ones,
// and we, take the whole entry for an unknown field.
static bool has_odd_entry(const pb::Message &m) {
    const pb::Reflection *r = m.GetReflection();
    std::vector<const pb::FieldDescriptor *> fields;
    r->ListFields(m, &fields);
    for (auto field : fields) {
        if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
        bool has_enum = field->is_map() && field->message_type()->map_value()->enum_type();
        if (!field->is_repeated() && has_odd_entry(r->GetMessage(m, field))) return true;
        for (int i = 0; field->is_repeated() && i < r->FieldSize(m, field); i++) {
            const pb::Message &each = r->GetRepeatedMessage(m, field, i);
            if (has_enum && !each.GetReflection()->GetUnknownFields(each).empty()) return true;
            if (has_odd_entry(each)) return true;
        }
    }
    return false;
}

// Fills some fields, each type from the edges of its range.
static void fill(pb::Message *m, int depth) {
    const pb::Reflection *r = m->GetReflection();
    static const uint64_t edges[] = {0,          1,          127,        128,        300,
                                     0x7fffffff, 0x80000000, 0xffffffff, 1ull << 53, (1ull << 53) + 1,
                                     ~0ull >> 1, 1ull << 63, ~0ull};
    static const char *const texts[] = {"",
                                        "a",
                                        "text",
                                        "gr\xc3\xbc\xc3\x9f\x65",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80",
                                        "twelve bytes",
                                        "somewhat longer than the rest of them"};
    int fields = m->GetDescriptor()->field_count();
    if (!fields) return;
    for (int n = 1 + static_cast<int>(pick(8)); n > 0; n--) {
        const pb::FieldDescriptor *field =
            m->GetDescriptor()->field(static_cast<int>(pick(static_cast<uint64_t>(fields))));
        uint64_t value = edges[pick(sizeof edges / sizeof edges[0])];
        string text = texts[pick(sizeof texts / sizeof texts[0])];
        for (uint64_t i = field->is_repeated() ? pick(4) : 1; i > 0; i--) {
#define SET(Type, v) (field->is_repeated() ? r->Add##Type(m, field, v) : r->Set##Type(m, field, v))
            switch (field->cpp_type()) {
            case pb::FieldDescriptor::CPPTYPE_INT32:
                SET(Int32, static_cast<int32_t>(value));
                break;
            case pb::FieldDescriptor::CPPTYPE_INT64:
                SET(Int64, static_cast<int64_t>(value));
                break;
            case pb::FieldDescriptor::CPPTYPE_UINT32:
                SET(UInt32, static_cast<uint32_t>(value));
                break;
            case pb::FieldDescriptor::CPPTYPE_UINT64:
                SET(UInt64, value);
                break;
            case pb::FieldDescriptor::CPPTYPE_BOOL:
                SET(Bool, value & 1);
                break;
            case pb::FieldDescriptor::CPPTYPE_ENUM:
                SET(EnumValue, field->enum_type()
                                   ->value(static_cast<int>(
                                       value % static_cast<uint64_t>(field->enum_type()->value_count())))
                                   ->number());
                break;
            case pb::FieldDescriptor::CPPTYPE_DOUBLE:
                SET(Double, static_cast<double>(static_cast<int64_t>(value)) / 3);
                break;
            case pb::FieldDescriptor::CPPTYPE_FLOAT:
                SET(Float, static_cast<float>(value) / 3);
                break;
            case pb::FieldDescriptor::CPPTYPE_STRING:
                SET(String, text);
                break;
            case pb::FieldDescriptor::CPPTYPE_MESSAGE:
                if (depth > 0)
                    fill(field->is_repeated() ? r->AddMessage(m, field) : r->MutableMessage(m, field),
                         depth - 1);
                break;
            }
#undef SET
        }
    }
    for (int i = 0; i < fields; i++) { // else most proto2 messages would be refused
        const pb::FieldDescriptor *field = m->GetDescriptor()->field(i);
        if (!field->is_required() || r->HasField(*m, field) || pick(10) == 0) continue;
        if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING)
            r->SetString(m, field, "required");
        else if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_INT32)
            r->SetInt32(m, field, 1);
    }
}

// With maps in the order of their keys, so that a seed always gives the same inputs.
static string serialize(const pb::Message &m) {
    string bytes;
    pb::io::StringOutputStream stream(&bytes);
    pb::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    m.SerializePartialToCodedStream(&out);
    out.Trim();
    return bytes;
}

static void append_varint(string *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
    out->push_back(static_cast<char>(value));
}

// A field of that number or near it with any wire type.
static string odd_field(const pb::Descriptor *type) {
    string out;
    int count = type->field_count();
    uint64_t number = count && pick(4)
                          ? static_cast<uint64_t>(
                                type->field(static_cast<int>(pick(static_cast<uint64_t>(count))))->number())
                          : 1 + pick(3000);
    uint64_t wire = pick(6);
    append_varint(&out, number << 3 | wire);
    string inside;
    for (uint64_t i = pick(12); i > 0; i--)
        inside.push_back(static_cast<char>(pick(3) ? pick(20) : pick(256)));
    switch (wire) {
    case 0:
        append_varint(&out, pick(2) ? pick(20) : randomness());
        break;
    case 1:
        out += string("\1\2\3\4\5\6\7\x40", 8);
        break;
    case 2:
        append_varint(&out, inside.size());
        out += inside;
        break;
    case 3:
        if (pick(2)) out += string("\x08\x05", 2);
        append_varint(&out, number << 3 | 4);
        break;
    case 5:
        out += string("\1\2\3\x40", 4);
        break;
    }
    return out;
}

static void mutate(string *bytes, const pb::Descriptor *type, const string &other) {
    for (uint64_t n = pick(4); n > 0; n--) {
        size_t at = pick(bytes->size() + 1), length = pick(bytes->size() - at + 1);
        switch (pick(9)) {
        case 0:
            if (at < bytes->size()) (*bytes)[at] = static_cast<char>(pick(256));
            break;
        case 1:
            if (at < bytes->size()) (*bytes)[at] = static_cast<char>((*bytes)[at] ^ (1 << pick(8)));
            break;
        case 2:
            bytes->erase(at, pick(4));
            break;
        case 3:
            bytes->insert(at, 1, static_cast<char>(pick(256)));
            break;
        case 4:
            bytes->resize(at);
            break;
        case 5:
            *bytes += bytes->substr(at, length);
            break;
        case 6:
            *bytes += other;
            break;
        case 7:
            *bytes += odd_field(type);
            break;
        case 8:
            bytes->insert(0, odd_field(type));
            break;
        }
    }
}

static bool may_have_long_tag(const string &bytes) {
    for (size_t i = 0; i + 4 < bytes.size(); i++) {
        bool is_long = true;
        for (size_t k = 0; k < 4; k++) is_long = is_long && (bytes[i + k] & 0x80);
        if (is_long && static_cast<unsigned char>(bytes[i + 4]) >= 0x10) return true;
    }
    return false;
}

class Differential {
  public:
    explicit Differential(const string &set)
        : ours_(subject_new(reinterpret_cast<const uint8_t *>(set.data()), set.size())) {
        pb::FileDescriptorSet files;
        if (!files.ParseFromString(set)) fail("no descriptor set", "", "");
        for (auto &file : files.file())
            if (!pool.BuildFile(file)) fail("a file does not build", "", "");
    }
    ~Differential() { subject_free(ours_); }

    void run(const string &name, const string &bytes) {
        const pb::Descriptor *type = pool.FindMessageTypeByName(name);
        std::unique_ptr<pb::Message> theirs(factory.GetPrototype(type)->New());
        bool is_theirs = theirs->ParseFromString(bytes);
        const char *fault = subject_check(ours_, name.c_str(), data(bytes), bytes.size());
        inputs++;
        if (is_theirs != !fault && !is_meant(type, bytes, fault))
            fail(fault ? fault : "C++ refuses it", name, bytes);
        if (!is_theirs || fault) return;
        if (has_odd_entry(*theirs)) {
            meant++;
            return;
        }
        good++;
        same_rebuilt(*theirs, name, bytes);
        same_forwarded(name, bytes);
        same_cleared(*theirs, name, bytes);
        same_rewritten(*theirs, name, bytes);
    }

    pb::DescriptorPool pool;
    pb::DynamicMessageFactory factory{&pool};
    long inputs = 0, good = 0, meant = 0;

  private:
    static const uint8_t *data(const string &bytes) {
        return reinterpret_cast<const uint8_t *>(bytes.data());
    }

    bool is_meant(const pb::Descriptor *type, const string &bytes, const char *fault) {
        bool is_proto2 = type->file()->syntax() == pb::FileDescriptor::SYNTAX_PROTO2;
        bool is = fault && ((is_proto2 && strstr(fault, "UTF-8")) || may_have_long_tag(bytes));
        meant += is;
        return is;
    }

    std::unique_ptr<pb::Message> parse_ours(const char *fault, const subject_bytes &ours, const string &what,
                                            const string &name, const string &bytes) {
        if (fault) fail(what + ": " + fault, name, bytes);
        std::unique_ptr<pb::Message> m(factory.GetPrototype(pool.FindMessageTypeByName(name))->New());
        if (!m->ParsePartialFromArray(ours.data, static_cast<int>(ours.length)))
            fail(what + ": C++ cannot read it", name, bytes);
        return m;
    }

    void same_rebuilt(const pb::Message &theirs, const string &name, const string &bytes) {
        subject_bytes ours{};
        const char *fault = subject_rebuild(ours_, name.c_str(), data(bytes), bytes.size(), &ours);
        auto again = parse_ours(fault, ours, "rebuilt", name, bytes);
        if (dump(theirs, false) != dump(*again, false))
            fail("rebuilt differs:\n" + theirs.ShortDebugString() + "\n" + again->ShortDebugString(), name,
                 bytes);
    }

    void same_forwarded(const string &name, const string &bytes) {
        subject_bytes ours{};
        const char *fault = subject_forward(ours_, name.c_str(), data(bytes), bytes.size(), &ours);
        if (fault) fail(string("forwarded: ") + fault, name, bytes);
        if (ours.length != bytes.size() || memcmp(ours.data, bytes.data(), ours.length) != 0)
            fail("forwarded bytes differ", name, bytes);
    }

    // As it looks once C++ has written and read it again: it cuts unknown enum numbers to 32 bits only when
    // unpacked.
    static std::unique_ptr<pb::Message> resent(const pb::Message &m) {
        string bytes;
        std::unique_ptr<pb::Message> again(m.New());
        m.SerializePartialToString(&bytes);
        again->ParsePartialFromString(bytes);
        return again;
    }

    void same_cleared(const pb::Message &theirs, const string &name, const string &bytes) {
        const pb::Descriptor *type = theirs.GetDescriptor();
        if (!type->field_count()) return;
        std::vector<const pb::FieldDescriptor *> present;
        theirs.GetReflection()->ListFields(theirs, &present);
        const pb::FieldDescriptor *field =
            !present.empty() && pick(5)
                ? present[pick(present.size())]
                : type->field(static_cast<int>(pick(static_cast<uint64_t>(type->field_count()))));
        if (field->is_required() || field->is_extension()) return;
        std::unique_ptr<pb::Message> expected(theirs.New());
        expected->CopyFrom(theirs);
        expected->GetReflection()->ClearField(expected.get(), field);
        subject_bytes ours{};
        const char *fault =
            subject_clear(ours_, name.c_str(), field->name().c_str(), data(bytes), bytes.size(), &ours);
        auto again = parse_ours(fault, ours, "cleared " + field->name(), name, bytes);
        if (dump(*resent(*expected), true) != dump(*resent(*again), true))
            fail("cleared " + field->name() + " differs:\n" + expected->ShortDebugString() + "\n" +
                     again->ShortDebugString(),
                 name, bytes);
    }

    void same_rewritten(const pb::Message &theirs, const string &name, const string &bytes) {
        subject_bytes ours{};
        const char *fault = subject_rewrite(ours_, name.c_str(), data(bytes), bytes.size(), &ours);
        auto again = parse_ours(fault, ours, "rewritten", name, bytes);
        if (dump(*resent(theirs), true) != dump(*resent(*again), true))
            fail("rewritten differs:\n" + theirs.ShortDebugString() + "\n" + again->ShortDebugString(), name,
                 bytes);
    }

    [[noreturn]] void fail(const string &what, const string &name, const string &bytes) {
        std::cerr << what << "\n" << name << " input " << inputs << ":";
        static const char digits[] = "0123456789abcdef";
        for (unsigned char byte : bytes) std::cerr << ' ' << digits[byte >> 4] << digits[byte & 15];
        std::cerr << std::endl;
        exit(1);
    }

    struct subject *ours_;
};

static string wrapped(uint64_t number, const string &inside) {
    string out;
    append_varint(&out, number << 3 | 2);
    append_varint(&out, inside.size());
    return out + inside;
}

static string grouped(uint64_t number, const string &inside) {
    string out;
    append_varint(&out, number << 3 | 3);
    out += inside;
    append_varint(&out, number << 3 | 4);
    return out;
}

// Nesting of every kind around the limit.
static void run_depths(Differential *differential) {
    for (int levels : {1, 49, 50, 51, 52, 98, 99, 100, 101, 102, 103, 1000, 100000}) {
        string tree, self, map, group, mixed;
        for (int i = 0; i < levels; i++) {
            tree = wrapped(2, tree);
            self = wrapped(18, self);
            if (levels < 1000) map = wrapped(109, wrapped(1, "k") + wrapped(2, map));
            group = grouped(3000, group);
            mixed = i % 2 ? wrapped(18, mixed) : grouped(3000, mixed);
            if (levels > 1000 && i == 10000) break;
        }
        differential->run("tidewire.test.Tree", tree);
        for (const string &bytes : {self, map, group, mixed})
            differential->run("tidewire.test.AllTypes", bytes);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    pb::SetLogHandler(nullptr);
    std::ifstream file(argv[1], std::ios::binary);
    std::stringstream set;
    set << file.rdbuf();
    long count = atol(argv[2]);
    randomness.seed(argc > 3 ? strtoull(argv[3], nullptr, 10) : 1);
    Differential differential(set.str());
    static const char *const types[] = {"tidewire.test.AllTypes",  "tidewire.test.AllTypes",
                                        "tidewire.test.Tree",      "tidewire.test.Numbers",
                                        "tidewire.test2.Required", "tidewire.test2.HasRequiredBelow",
                                        "tidewire.test2.Defaults", "tidewire.test2.Packing",
                                        "tidewire.test2.Groups",   "tidewire.test2.Groups"};
    run_depths(&differential);
    string before;
    for (long i = 0; i < count; i++) {
        string name = types[pick(sizeof types / sizeof types[0])];
        const pb::Descriptor *type = differential.pool.FindMessageTypeByName(name);
        if (!type) return 2;
        std::unique_ptr<pb::Message> m(differential.factory.GetPrototype(type)->New());
        fill(m.get(), 3);
        string whole = serialize(*m), bytes = whole;
        mutate(&bytes, type, before);
        differential.run(name, bytes);
        before = whole;
    }
    std::cout << differential.inputs << " inputs, " << differential.good << " of them messages, "
              << differential.meant << " differences that are meant\n";
    return differential.good * 4 > differential.inputs ? 0
                                                       : 1; // a test of refusals alone would be worth little
}
