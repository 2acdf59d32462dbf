/** The webhook's name, which the API server puts before its refusals. */
export const WEBHOOK = 'pods.etcd-guard.io';

/** How a refusal begins where the API server passes it on. */
export const REFUSED = `admission webhook "${WEBHOOK}" denied the request: `;

/** Labels of a namespace whose pods are looked at. */
export const PROTECTED: Readonly<Record<string, string>> = { 'etcd-guard.io/protect': 'enabled' };

function ruleFor(operation: string, resource: string): unknown {
  return {
    apiGroups: [''],
    apiVersions: ['v1'],
    operations: [operation],
    resources: [resource],
    scope: 'Namespaced',
  };
}

/** Registers what listens on this port of 127.0.0.1; `ca` is PEM, of one authority or several. */
export function webhookConfiguration(port: number, ca: string): unknown {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'etcd-guard' },
    webhooks: [
      {
        name: WEBHOOK,
        clientConfig: {
          url: `https://127.0.0.1:${port}/validate`,
          caBundle: Buffer.from(`${ca}\n`).toString('base64'),
        },
        rules: [ruleFor('DELETE', 'pods'), ruleFor('CREATE', 'pods/eviction')],
        namespaceSelector: { matchLabels: PROTECTED },
        admissionReviewVersions: ['v1', 'v1beta1'],
        sideEffects: 'NoneOnDryRun',
        failurePolicy: 'Fail',
        timeoutSeconds: 10,
      },
    ],
  };
}
