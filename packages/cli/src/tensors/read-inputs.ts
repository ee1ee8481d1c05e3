// Reads the files of `--input NAME=FILE` as the tensors of a V2 request.
import { readFile, stat } from 'node:fs/promises'
import { extname } from 'node:path'
import {
  BodyError,
  countOf,
  DATATYPES,
  flatten,
  isDatatype,
  isHalf,
  isJsonObject,
  JsonSyntaxError,
  nearestName,
  parseJson,
  toTensorData,
  TYPED_ARRAYS,
  viewOf,
  type Json,
  type ReceivedCard,
  type TensorDatatype,
  type TensorMetadata,
} from '@inferwire/protocol'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { printable } from '../table.ts'
import { badFile, type FileTensor, type NumberArray } from './file-tensor.ts'
import { concreteShape, fitTensor } from './fit-tensor.ts'
import { readImage, resize } from './gray-image.ts'
import { readNpy } from './npy.ts'

/** A tensor of a request. */
export interface NamedTensor extends FileTensor {
  readonly name: string
}

/** How the pixels of an image are converted to values. */
export interface PixelOptions {
  /** The value of white. */
  readonly pixelMax: number
  /** Whether black, instead of white, has the largest value. */
  readonly invert: boolean
}

/** The card of the model, or undefined if the card has no tensors or cannot be read. */
export type InputsOfCard = Pick<ReceivedCard, 'name' | 'inputs'> | undefined

// The largest MQTT packet; a larger tensor cannot be published.
const FILE_BYTES_MAX = 256 * 1024 * 1024
const KINDS = '.npy, .json, .bin, .png or .pgm'

/** Reads all inputs. @throws CliError that names the file and the remedy */
export async function readInputs(
  specs: readonly string[],
  card: InputsOfCard,
  pixels: PixelOptions,
): Promise<NamedTensor[]> {
  const tensors: NamedTensor[] = []
  for (const spec of specs) {
    const { name, file } = parseSpec(spec, card)
    if (tensors.some((tensor) => tensor.name === name)) {
      throw usageError(`input "${name}" is given twice`, 'Give each input once.')
    }
    const input = inputOf(name, card)
    const bytes = await readInputFile(file)
    tensors.push({ name, ...toTensor(bytes, file, input, pixels) })
  }
  return tensors
}

// A file without a name is for the model's only input.
function parseSpec(spec: string, card: InputsOfCard): { readonly name: string; readonly file: string } {
  const at = spec.indexOf('=')
  if (at > 0 && at < spec.length - 1) return { name: spec.slice(0, at), file: spec.slice(at + 1) }
  const [only, ...others] = card?.inputs ?? []
  if (at === -1 && only !== undefined && others.length === 0) return { name: only.name, file: spec }
  const names =
    card?.inputs?.map(({ name }) => name).join(', ') ?? "unknown, because the model's card lists none"
  throw usageError(
    `--input "${spec}" names no input`,
    `Use --input NAME=FILE. The model's inputs are: ${names}.`,
  )
}

// If the card lists no tensors, the file alone determines datatype and shape.
function inputOf(name: string, card: InputsOfCard): TensorMetadata | undefined {
  const inputs = card?.inputs
  if (card === undefined || inputs === undefined) return undefined
  const input = inputs.find((each) => each.name === name)
  if (input !== undefined) return input
  const names = inputs.map((each) => each.name)
  const near = nearestName(name, names)
  throw usageError(
    `model "${card.name}" has no input "${name}"`,
    near === undefined ? `Its inputs are: ${names.join(', ')}.` : `Did you mean "${near}"?`,
  )
}

function toTensor(
  bytes: Uint8Array,
  file: string,
  input: TensorMetadata | undefined,
  pixels: PixelOptions,
): FileTensor {
  const what = `file "${file}"`
  switch (extname(file).toLowerCase()) {
    case '.npy': {
      const tensor = readNpy(bytes, what)
      return input === undefined ? tensor : fitTensor(tensor, input, what)
    }
    case '.json':
      return fromJson(bytes, input, what)
    case '.bin':
      return fromRaw(bytes, described(input, what), what)
    case '.png':
    case '.pgm':
      return fromImage(bytes, described(input, what), pixels, what)
    default:
      throw usageError(`${what} has no known file type`, `Use a file that ends in ${KINDS}.`)
  }
}

type KnownInput = TensorMetadata & { readonly datatype: TensorDatatype }

function described(input: TensorMetadata | undefined, what: string): KnownInput {
  if (input === undefined) {
    throw usageError(
      `the model's card does not describe the input for ${what}`,
      'Use a .npy file, which contains datatype and shape.',
    )
  }
  const { name, datatype } = input
  if (isDatatype(datatype)) return { ...input, datatype }
  throw badFile(
    `${what} is for input "${name}", which has the unknown datatype "${datatype.slice(0, 40)}"`,
    'Use -f with a request body.',
  )
}

// Reads a list of values, or an object with `shape`, `datatype` and `data`, as in a V2 request.
function fromJson(bytes: Uint8Array, input: TensorMetadata | undefined, what: string): FileTensor {
  try {
    const value = parseJson(bytes, { nonFinite: true })
    if (isJsonObject(value) && ('inputs' in value || 'instances' in value)) {
      throw badFile(`${what} is a request body`, 'Use -f instead of --input.')
    }
    const { data, datatype, shape } = isJsonObject(value) ? value : { data: value }
    const type = typeof datatype === 'string' ? datatype : (input?.datatype ?? datatypeOf(data))
    if (type === undefined) {
      throw badFile(
        `${what} contains numbers, and the model's card does not describe the input`,
        'Use {"datatype":"FP32","shape":[1,4],"data":[…]}.',
      )
    }
    if (!isDatatype(type)) {
      throw badFile(
        `${what} has the unknown datatype "${type.slice(0, 40)}"`,
        `Use one of: ${DATATYPES.join(', ')}.`,
      )
    }
    const flat = Array.isArray(data) ? flatten(data) : { shape: [], values: [data ?? null] }
    const given = Array.isArray(shape) ? shape.map(Number) : flat.shape
    if (countOf(given) !== flat.values.length || !given.every(Number.isSafeInteger)) {
      throw badFile(
        `the shape in ${what} does not fit its ${flat.values.length} values`,
        'Correct the shape.',
      )
    }
    const tensor = { datatype: type, shape: given, data: valuesOf(type, flat.values, what) }
    return input === undefined ? tensor : fitTensor(tensor, input, what)
  } catch (error) {
    if (!(error instanceof BodyError || error instanceof JsonSyntaxError)) throw error
    throw badFile(messageOf(error, what), 'Correct the values.')
  }
}

// Returns an error message that begins with the file. Errors about values name the file as the input; that name is
// removed.
function messageOf({ message }: Error, what: string): string {
  return `${what}: ${message.replace(`input "${what}": `, '')}`
}

function datatypeOf(data: Json | undefined): string | undefined {
  let first: Json | undefined = data
  while (Array.isArray(first)) first = first[0]
  if (typeof first === 'string') return 'BYTES'
  return typeof first === 'boolean' ? 'BOOL' : undefined
}

function valuesOf(datatype: TensorDatatype, values: readonly Json[], what: string): FileTensor['data'] {
  // JavaScript has no typed arrays for these types; the request's encoder rounds the numbers.
  if (isHalf(datatype)) {
    if (values.every((value) => typeof value === 'number')) return values
    throw badFile(`${what} contains values that are not numbers`, `${datatype} needs numbers.`)
  }
  return toTensorData(what, datatype, values)
}

function fromRaw(bytes: Uint8Array, input: KnownInput, what: string): FileTensor {
  const { datatype } = input
  if (datatype === 'BYTES') {
    throw badFile(
      `${what} cannot contain ${datatype} values without their lengths`,
      'Use a .json or .npy file.',
    )
  }
  const Values = TYPED_ARRAYS[datatype]
  const { BYTES_PER_ELEMENT: width } = Values
  if (bytes.length % width !== 0) {
    throw badFile(
      `${what} has ${bytes.length} bytes, which is not a multiple of ${width}, the size of ${datatype}`,
      'Write little-endian values without a header.',
    )
  }
  const shape = concreteShape(input, bytes.length / width, what)
  return { datatype, shape, data: viewOf<NumberArray>(bytes, Values) }
}

function fromImage(
  bytes: Uint8Array,
  input: KnownInput,
  { pixelMax, invert }: PixelOptions,
  what: string,
): FileTensor {
  const size = imageSizeOf(input)
  if (size === undefined) {
    throw badFile(
      `input "${input.name}" is not a grayscale image: its shape is (${input.shape.join(',')})`,
      'Convert the image to a .npy file in the shape of the input.',
    )
  }
  const image = readImage(bytes, what)
  if (image.width !== size.width || image.height !== size.height) {
    const count = size.width * size.height
    process.stderr.write(
      `${what}: ${image.width}x${image.height} scaled to ${size.width}x${size.height} for input "${printable(input.name)}" (${count} values), 0 to ${pixelMax}\n`,
    )
  }
  const gray = resize(image, size.width, size.height)
  const isFloat = /^(?:FP|BF)/.test(input.datatype)
  const numbers = Array.from(gray, (value) => ((invert ? 255 - value : value) * pixelMax) / 255)
  const values = isFloat ? numbers : numbers.map(Math.round)
  const shape = input.shape.map((dimension) => (dimension < 0 ? 1 : dimension))
  try {
    return { datatype: input.datatype, shape, data: valuesOf(input.datatype, values, what) }
  } catch (error) {
    if (!(error instanceof BodyError)) throw error
    throw badFile(messageOf(error, what), 'Choose another --pixel-max.')
  }
}

// Returns the size of a grayscale image for a shape such as (1,8,8), (8,8,1) or (8,8), or for 64 values in a list.
// A dimension of 1 or -1 is the batch or the channel.
function imageSizeOf({ shape }: TensorMetadata): { width: number; height: number } | undefined {
  const sizes = shape.filter((size) => size > 1)
  const side = Math.sqrt(sizes[0] ?? 0)
  if (sizes.length === 2) return { height: sizes[0]!, width: sizes[1]! }
  return sizes.length === 1 && Number.isInteger(side) ? { height: side, width: side } : undefined
}

async function readInputFile(file: string): Promise<Uint8Array> {
  try {
    if ((await stat(file)).size > FILE_BYTES_MAX) {
      throw badFile(`file "${file}" is larger than ${FILE_BYTES_MAX} bytes, MQTT's limit`, 'Split it.')
    }
    return await readFile(file)
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(
      EXIT.missingFile,
      `file "${file}" cannot be read: ${(error as Error).message}`,
      'Check the path given with --input.',
      { cause: error },
    )
  }
}
