/* size_class.c - the generated tables as data. Floor heap. */
#include "heap/size_class.h"

const mo_size_class mo_size_classes[MO_NUM_SIZE_CLASSES] = {MO_SIZE_CLASS_ROWS};
const uint8_t mo_size_to_class_16[] = {MO_SIZE_TO_CLASS_16};
const uint8_t mo_size_to_class_128[] = {MO_SIZE_TO_CLASS_128};
