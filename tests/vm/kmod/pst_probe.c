/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* For tests only: a process's page table entry, and whether it can be pinned.
 */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "pst_probe.h"

static void probe(struct pst_probe *p)
{
	const unsigned long addr = p->addr;
	pgd_t *pgd = pgd_offset(current->mm, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;
	pte_t *pte;

	if (pgd_none(*pgd))
		return;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		return;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud))
		return;
	p->entry = pud_val(*pud);
	p->shift = PUD_SHIFT;
	if (p->entry & _PAGE_PSE)
		return;
	p->shift = 0;
	pmd = pmd_offset(pud, addr);
	if (pmd_none(*pmd))
		return;
	p->entry = pmd_val(*pmd);
	p->shift = PMD_SHIFT;
	if (p->entry & _PAGE_PSE)
		return;
	pte = pte_offset_kernel(pmd, addr);
	p->entry = pte_val(*pte);
	p->shift = pte_present(*pte) ? PAGE_SHIFT : 0;
}

static long probe_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct page *page = NULL;
	struct pst_probe p;

	if (cmd != PST_PROBE_IOCTL)
		return -ENOTTY;
	if (copy_from_user(&p, (void __user *)arg, sizeof(p)))
		return -EFAULT;
	p.entry = 0;
	p.shift = 0;
	mmap_read_lock(current->mm);
	probe(&p);
	mmap_read_unlock(current->mm);
	p.pinned = pin_user_pages_fast(p.addr, 1, FOLL_WRITE | FOLL_LONGTERM,
				       &page);
	if (p.pinned == 1 && p.hold && !file->private_data)
		file->private_data = page;
	else if (p.pinned == 1)
		unpin_user_page(page);
	return copy_to_user((void __user *)arg, &p, sizeof(p)) ? -EFAULT : 0;
}

static int probe_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;
	return 0;
}

static int probe_close(struct inode *inode, struct file *file)
{
	if (file->private_data)
		unpin_user_page(file->private_data);
	return 0;
}

static const struct file_operations probe_fops = {
	.owner = THIS_MODULE,
	.open = probe_open,
	.release = probe_close,
	.unlocked_ioctl = probe_ioctl,
};

static struct miscdevice probe_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pst_probe",
	.fops = &probe_fops,
};
module_misc_device(probe_misc);

MODULE_DESCRIPTION("page table and pinning, for Penstock's tests");
MODULE_LICENSE("Dual MIT/GPL");
