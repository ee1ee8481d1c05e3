// Writes a V2 inference response, as JSON or as JSON followed by binary tensors.
import { rawOf, toFlatJson, type Tensor, type V2Request } from '@inferwire/protocol'
import type { Reply } from './call.ts'

/** Returns the response to a request. As in KServe, absent members are `null`, and the data is a flat list. */
export function writeV2Response(
  modelName: string,
  id: string,
  requested: V2Request['outputs'],
  tensors: readonly Tensor[],
): Reply {
  const binary: Uint8Array[] = []
  const outputs = tensors.map(({ name, shape, datatype, data }, index) => {
    const head = `{"name":${JSON.stringify(name)},"shape":${JSON.stringify(shape)},"datatype":"${datatype}"`
    if (requested[index]?.isBinary !== true) {
      return `${head},"parameters":null,"data":${toFlatJson(datatype, data)}}`
    }
    const bytes = rawOf(data)
    binary.push(bytes)
    return `${head},"parameters":{"binary_data_size":${bytes.length}}}`
  })
  const json =
    `{"model_name":${JSON.stringify(modelName)},"model_version":null,"id":${JSON.stringify(id)},` +
    `"parameters":null,"outputs":[${outputs.join(',')}]}`
  if (binary.length === 0) return json
  const header = Buffer.from(json)
  return {
    body: Buffer.concat([header, ...binary]),
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(header.length),
    },
  }
}
