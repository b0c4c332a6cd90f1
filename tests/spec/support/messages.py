"""Protobuf messages of a descriptor set as plain dicts and lists, without generated code."""
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from jsonlines import raw, unwire, wire

EXACT = 2**53


class Schema:
    def __init__(self, descriptor_set):
        self.pool = descriptor_pool.DescriptorPool()
        files = descriptor_pb2.FileDescriptorSet()
        with open(descriptor_set, "rb") as file:
            files.ParseFromString(file.read())
        for file in files.file:
            self.pool.Add(file)
        self.factory = message_factory.MessageFactory(self.pool)

    def message_class(self, descriptor):
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(descriptor)
        return self.factory.GetPrototype(descriptor)

    def named(self, full_name):
        return self.message_class(self.pool.FindMessageTypeByName(full_name))

    def method(self, path):
        """The method that "pkg.Service/Method" names; KeyError when there is none."""
        service, _, name = path.rpartition("/")
        return self.pool.FindServiceByName(service).methods_by_name[name]


def is_map(field):
    return (field.label == field.LABEL_REPEATED and field.type == field.TYPE_MESSAGE
            and field.message_type.GetOptions().map_entry)


def scalar_to_plain(field, value):
    if field.type == field.TYPE_MESSAGE or field.type == field.TYPE_GROUP:
        return to_plain(value)
    if field.type == field.TYPE_BYTES:
        return value.decode("latin-1")
    if field.type == field.TYPE_STRING:
        return wire(value)
    if isinstance(value, int) and abs(value) > EXACT:
        return str(value)
    return value


def to_plain(message):
    """The fields that are set; integers that a double can't hold become text."""
    plain = {}
    for field, value in message.ListFields():
        if is_map(field):
            of_value = field.message_type.fields_by_name["value"]
            plain[field.name] = {wire(str(k)): scalar_to_plain(of_value, value[k]) for k in value}
        elif field.label == field.LABEL_REPEATED:
            plain[field.name] = [scalar_to_plain(field, v) for v in value]
        else:
            plain[field.name] = scalar_to_plain(field, value)
    return plain


def scalar_from_plain(field, value):
    if field.type == field.TYPE_BYTES:
        return raw(value)
    if field.type == field.TYPE_STRING:
        return unwire(value)
    if field.type == field.TYPE_ENUM and isinstance(value, str):
        return field.enum_type.values_by_name[value].number
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return float(value)
    if field.type == field.TYPE_BOOL:
        return bool(value)
    return int(value)


def from_plain(message, plain):
    for name, value in (plain or {}).items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if is_map(field):
            key, of_value = (field.message_type.fields_by_name[n] for n in ("key", "value"))
            for k, v in value.items():
                if of_value.type == of_value.TYPE_MESSAGE:
                    from_plain(getattr(message, name)[scalar_from_plain(key, k)], v)
                else:
                    getattr(message, name)[scalar_from_plain(key, k)] = scalar_from_plain(of_value, v)
        elif field.label == field.LABEL_REPEATED:
            for v in value or []:
                if field.type in (field.TYPE_MESSAGE, field.TYPE_GROUP):
                    from_plain(getattr(message, name).add(), v)
                else:
                    getattr(message, name).append(scalar_from_plain(field, v))
        elif field.type in (field.TYPE_MESSAGE, field.TYPE_GROUP):
            getattr(message, name).SetInParent()
            from_plain(getattr(message, name), value)
        else:
            setattr(message, name, scalar_from_plain(field, value))
    return message
