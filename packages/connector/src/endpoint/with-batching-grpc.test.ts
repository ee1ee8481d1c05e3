// Tests that requests share calls over gRPC, where the connector itself reads the bodies.
import { batchRulesOf, Problem } from '@inferwire/protocol'
import { afterEach, expect, test } from 'vitest'
import { MESSAGES } from './grpc/inference-proto.ts'
import { answer, startGrpcServer } from './grpc/testing/grpc-server.ts'
import { jsonRequest, openTestUpstream } from './grpc/testing/open-upstream.ts'
import { arrange } from './testing/batch-arrangement.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

test.each(['[1,null]', '["secret",1]', '[1,x]'])(
  'a request with a body that cannot be sent (%s) fails alone, and its error does not quote another request',
  async (invalid) => {
    const server = await startGrpcServer((call) => {
      const { inputs } = MESSAGES.request.decode(call.message)
      const rows = Number(inputs[0]!.shape[0])
      const contents = { fp32_contents: Array.from({ length: rows }, (_, row) => row) }
      const outputs = [{ name: 'y', datatype: 'FP32', shape: [rows], parameters: {}, contents }]
      answer(call, [
        MESSAGES.response.encode({
          model_name: 'iris',
          model_version: '1',
          id: '',
          parameters: {},
          outputs,
          raw_output_contents: [],
        }),
      ])
    })
    const upstream = openTestUpstream(server.url)
    closing.push(
      () => upstream.destroy(),
      () => server.stop(),
    )
    const { bind } = arrange({ concurrency: 1 }, batchRulesOf('infer', 'v2')!)
    const endpoint = bind(upstream.endpoint('infer', 'v2', undefined)!)
    const ask = (data: string): Promise<string> =>
      endpoint
        .call(jsonRequest(`{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":${data}}]}`))
        .then(
          () => 'answered',
          (error: unknown) => `${(error as Problem).code} ${(error as Problem).message}`,
        )
    const alone = await ask(invalid)
    const outcomes = await Promise.all([ask('[1,2]'), ask('[3,4]'), ask(invalid)])
    expect(alone).toContain('bad_payload')
    expect(outcomes).toEqual(['answered', 'answered', alone])
    // The two valid requests shared a call.
    expect(server.calls).toHaveLength(1)
  },
)
