// Target: sends the model server V1 and V2 requests with JSON and binary tensors. The server must return a Failure or a
// complete response.
import { BodyError, TYPED_ARRAYS, type Tensor } from '@inferwire/protocol'
import {
  Failure,
  loadModel,
  v1Routes,
  v2Routes,
  type Call,
  type Engine,
  type Model,
  type Reply,
  type Session,
  type SessionTensor,
} from '../../../packages/model-server/src/internal.ts'
import { bytesOf, claim, joined, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'

const v2 = (inputs: string, rest = ''): string => `{"inputs":[${inputs}]${rest}}`
const JSON_TYPE = 'application/json'
const BINARY_TYPE = 'application/octet-stream'
const fp32 = '{"name":"x","shape":[1,2],"datatype":"FP32","data":[[1,-2]]}'
const binary = (name: string, datatype: string, shape: string, size: number): string =>
  `{"name":"${name}","shape":${shape},"datatype":"${datatype}","parameters":{"binary_data_size":${size}}}`

/** Returns a seed with the correct header length for its JSON. */
function withTensors(model: string, json: string, tensors: readonly number[]): Buffer {
  return joined(
    `v2 ${model}`,
    BINARY_TYPE,
    `${json.length}`,
    Buffer.concat([Buffer.from(json), Buffer.from(tensors)]),
  )
}

/**
 * Fuzzes the routes of the model server. Fields: protocol and model, Content-Type, inference-header-content-length,
 * body.
 */
export const target: FuzzTarget = {
  name: 'model-server',
  seedInputs: [
    joined('v1 fp32', JSON_TYPE, '', '{"instances":[[1,2],[3.5,-4e2]]}'),
    joined(
      'v1 mixed',
      '',
      '',
      '{"inputs":[{"a":1,"b":"é","c":true},{"a":9223372036854775807,"b":"","c":false}]}',
    ),
    joined('v2 fp32', JSON_TYPE, '', v2(fp32, ',"id":"7","parameters":{"binary_data_output":true}')),
    joined('v2 fp32', JSON_TYPE, '', v2(fp32, ',"outputs":[{"name":"x","parameters":{"binary_data":true}}]')),
    joined('v2 any', JSON_TYPE, '', v2('{"name":"x","shape":[],"datatype":"uint8","data":[255]}')),
    withTensors('fp32', v2(binary('x', 'FP32', '[1,2]', 8)), [0, 0, 128, 63, 0, 0, 192, 127]),
    withTensors(
      'mixed',
      v2(
        `${binary('a', 'INT64', '[1]', 8)},${binary('b', 'BYTES', '[2]', 10)},${binary('c', 'BOOL', '[1]', 1)}`,
      ),
      [1, 0, 0, 0, 0, 0, 0, 128, 2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0, 7],
    ),
  ],
  dictionary: [
    ...words(
      '"shape":[ "data":[ "binary_data_size": "binary_data":true "instances": "parameters":{ "constructor":',
    ),
    ...words(
      'BYTES BOOL INT64 UINT64 FP32 FP64 UINT8 fp32 mixed any v1 v2 NaN -Infinity null [] {} [[ -1 1e400',
    ),
    ...words('2147483647 2147483648 9007199254740993 94906267,94906267 65536,65536,65536,65536 __proto__'),
    ...words('application/json; charset=utf-8|application/octet-stream', '|'),
    ...tokens([0xff, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x7f], [0, 0, 0, 0], [4, 0, 0, 0]),
  ],
  async run(input) {
    const [selector, contentType, length, body] = bytesOf(input, 4)
    const [protocol, model] = (selector?.toString('latin1') ?? '').split(' ')
    const headers = new Map([
      ['content-type', contentType?.toString('latin1')],
      ['inference-header-content-length', length?.toString('latin1')],
    ])
    const call: Call = {
      params: { model: model ?? '' },
      header: (name) => headers.get(name) || undefined,
      body: () => Promise.resolve(body ?? Buffer.alloc(0)),
      signal: new AbortController().signal,
    }
    try {
      return answerLabel(await (protocol === 'v1' ? predict : infer).handle(call))
    } catch (error) {
      if (!(error instanceof Failure || error instanceof BodyError)) throw error
      const failure = Failure.from(error)
      claim(failure.status >= 400 && failure.status <= 599, 'a failure does not have an error status')
      claim(JSON.stringify(failure.body).length < 20_000, "an error repeats the client's input")
      // Some messages also contain unquoted parts of the request.
      return `${failure.status} ${/^\P{N}{0,40}/u.exec(shapeOf(failure.message))![0].split(' ').slice(0, 3).join(' ')}`
    }
  },
}

function answerLabel(reply: Reply): string {
  if (typeof reply === 'string') {
    JSON.parse(reply)
    return 'json'
  }
  claim('body' in reply, 'a tensor model answers with a stream')
  const length = Number(reply.headers['inference-header-content-length'])
  claim(
    Number.isSafeInteger(length) && length > 0 && length <= reply.body.length,
    'the header length is outside of the body',
  )
  const { outputs } = JSON.parse(Buffer.from(reply.body.subarray(0, length)).toString('utf8')) as {
    outputs: { parameters: { binary_data_size: number } | null }[]
  }
  const sizes = outputs.reduce((sum, { parameters }) => sum + (parameters?.binary_data_size ?? 0), 0)
  claim(length + sizes === reply.body.length, 'the body does not have the announced length')
  return `binary ${outputs.length}`
}

const DECLARED: Readonly<Record<string, readonly SessionTensor[]>> = {
  fp32: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  mixed: [
    { name: 'a', datatype: 'INT64', shape: [-1] },
    { name: 'b', datatype: 'BYTES', shape: [-1] },
    { name: 'c', datatype: 'BOOL', shape: [-1] },
  ],
  // An ONNX file may omit the shape.
  any: [{ name: 'x', datatype: 'UINT8', shape: [] }],
}

// Stands in for the ONNX runtime: checks its inputs and returns them.
const engine: Engine = {
  name: 'mirror',
  load: (name) => Promise.resolve(mirror(DECLARED[name]!)),
}

function mirror(tensors: readonly SessionTensor[]): Session {
  return {
    inputs: tensors,
    outputs: tensors,
    run: (inputs, outputs) => {
      claim(
        inputs.length === tensors.length,
        'the model receives a different number of inputs than it declares',
      )
      for (const [index, input] of inputs.entries()) checkTensor(input, tensors[index]!)
      return Promise.resolve(outputs.map((name) => inputs.find((input) => input.name === name)!))
    },
    release: () => Promise.resolve(),
  }
}

function checkTensor(tensor: Tensor, declared: SessionTensor): void {
  const { name, datatype, shape, data } = tensor
  claim(
    name === declared.name && datatype === declared.datatype,
    'the model receives a tensor that it does not declare',
  )
  const isFitting =
    declared.shape.length === 0 ||
    (shape.length === declared.shape.length &&
      declared.shape.every((size, axis) => size === -1 || size === shape[axis]))
  claim(isFitting, 'the model receives a shape that it does not declare')
  // This product is exact above 2^53. The product that the server computes is not.
  const count = shape.reduce((product, size) => product * BigInt(size), 1n)
  claim(
    BigInt(data.length) === count && count > 0n,
    'the number of values in a tensor does not match its shape',
  )
  if (datatype === 'BYTES')
    return claim(
      Array.isArray(data) && data.every((text) => typeof text === 'string'),
      'a BYTES tensor has a value that is not a string',
    )
  claim(data instanceof TYPED_ARRAYS[datatype], 'a tensor has values of the wrong datatype')
  if (datatype === 'BOOL')
    claim(
      (data as Uint8Array).every((value) => value <= 1),
      'a BOOL is neither 0 nor 1',
    )
}

const models = new Map<string, Model>()
for (const name of Object.keys(DECLARED)) models.set(name, await loadModel(engine, { name, file: '' }))
const predict = v1Routes(models).find(({ path }) => path.test('/v1/models/m:predict'))!
const infer = v2Routes(models, { name: 'fuzz', version: '0', extensions: [] }).find(({ path }) =>
  path.test('/v2/models/m/infer'),
)!
